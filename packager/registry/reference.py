"""Names of artifacts in registries: ``REGISTRY/REPOSITORY[:TAG]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bentofn.runtime.errors import UserError

# https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pulling-manifests
_REPOSITORY = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
# https://github.com/distribution/reference/blob/v0.6.0/regexp.go
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_REGISTRY = re.compile(
    rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::(?P<port>[0-9]{{1,5}}))?"
)

_MAX_REPOSITORY = 255
_PORTS = range(1, 1 << 16)

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that are this machine."""


@dataclass(frozen=True)
class Reference:
    """An artifact in a registry.

    Args:
        registry: Host, with its port if it has one.
        repository: Path in the registry.
        tag: The tag, or the digest in its place, or None if none was given.
    """

    registry: str
    repository: str
    tag: str | None = None

    def __str__(self) -> str:
        mark = "@" if self.tag and ":" in self.tag else ":"
        tag = f"{mark}{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.repository}{tag}"

    @property
    def host(self) -> str:
        """Where the registry is reached: Docker Hub's is not the one that users name."""
        return "registry-1.docker.io" if self.registry == "docker.io" else self.registry

    @property
    def is_loopback(self) -> bool:
        """Whether the registry is on this machine, so that plain HTTP leaks nothing."""
        match = _REGISTRY.fullmatch(self.registry)
        return match is not None and match["host"].strip("[]") in LOOPBACK


def parse_reference(text: str) -> Reference:
    """Read ``REGISTRY/REPOSITORY[:TAG]``.

    Raises:
        UserError: A part breaks the distribution specification's rules, or no registry is named.
    """
    registry, slash, rest = text.partition("/")
    repository, colon, tag = rest.partition(":")
    match = _REGISTRY.fullmatch(registry)
    if not slash or not match or not _is_host(registry) or int(match["port"] or 1) not in _PORTS:
        raise UserError(
            f"{text!r} does not start with a registry; write REGISTRY/REPOSITORY[:TAG], "
            "such as ghcr.io/me/greeter:1."
        )
    if not _REPOSITORY.fullmatch(repository) or len(repository) > _MAX_REPOSITORY:
        raise UserError(
            f"{repository!r} is not a repository of a registry: use small letters and digits, "
            "with '.', '_', '-' and '/' between them."
        )
    if colon and not _TAG.fullmatch(tag):
        raise UserError(
            f"{tag!r} is not a tag of a registry: use up to 128 letters, digits, '_', '.' and '-', "
            "with a letter, a digit or '_' first."
        )
    return Reference(registry, repository, tag if colon else None)


def _is_host(registry: str) -> bool:
    # As Docker tells a registry from the first part of a repository.
    return registry == "localhost" or "." in registry or ":" in registry
