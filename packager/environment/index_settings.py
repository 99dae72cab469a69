"""Where packages come from, in the words that pip and uv share."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

_RESOLUTION = frozenset(
    f"UV_{name}"
    for name in (
        *("DEFAULT_INDEX", "INDEX", "INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "NO_INDEX"),
        *("INDEX_STRATEGY", "PRERELEASE", "RESOLUTION", "EXCLUDE_NEWER", "TORCH_BACKEND"),
        *("CONSTRAINT", "OVERRIDE", "BUILD_CONSTRAINT", "NO_BINARY", "NO_BUILD", "CONFIG_FILE"),
    )
)
"""Source: https://docs.astral.sh/uv/reference/environment/"""

_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+(?=@)")


@dataclass(frozen=True)
class IndexSettings:
    """Indexes, wheel folders and how to reach them.

    Args:
        index_url: The main index; None for uv's own default.
        extra_index_urls: More indexes.
        find_links: Folders or pages of wheels.
        trusted_hosts: Hosts whose certificate is not checked.
        no_index: Whether no index is asked at all.
        cert: File of the certificates to trust.
        proxy: URL of a proxy for http and https.
        timeout: Seconds to wait for a server.
        retries: How often a server is asked again that does not answer.
        prerelease: Whether versions before a release are taken.
        only_binary: Packages that are only taken as wheels, or ``:all:``.
        no_binary: Packages that are built from their source, or ``:all:``.
        torch_cpu_index: Index of torch's CPU builds, to ask where no other has one; None where
            torch is taken as it comes.
    """

    index_url: str | None = None
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    trusted_hosts: tuple[str, ...] = ()
    no_index: bool = False
    cert: str | None = None
    proxy: str | None = None
    timeout: int | None = None
    retries: int | None = None
    prerelease: bool = False
    only_binary: tuple[str, ...] = ()
    no_binary: tuple[str, ...] = ()
    torch_cpu_index: str | None = None

    def with_options(
        self,
        *,
        index_url: str | None = None,
        extra_index_urls: tuple[str, ...] = (),
        find_links: tuple[str, ...] = (),
        trusted_hosts: tuple[str, ...] = (),
        no_index: bool = False,
        prerelease: bool = False,
        only_binary: tuple[str, ...] = (),
        no_binary: tuple[str, ...] = (),
    ) -> IndexSettings:
        """Add options as pip's command line does: a single value replaces, a list grows."""
        return replace(
            self,
            index_url=index_url or self.index_url,
            extra_index_urls=_union(self.extra_index_urls, extra_index_urls),
            find_links=_union(self.find_links, find_links),
            trusted_hosts=_union(self.trusted_hosts, trusted_hosts),
            no_index=no_index or self.no_index,
            prerelease=prerelease or self.prerelease,
            only_binary=_union(self.only_binary, only_binary),
            no_binary=_union(self.no_binary, no_binary),
        )

    def uv_arguments(self) -> list[str]:
        """Options of ``uv pip``; none holds a URL that may carry a password."""
        arguments = ["--no-index"] if self.no_index else []
        for option, names in (("--only-binary", self.only_binary), ("--no-binary", self.no_binary)):
            for name in names:
                arguments += [option, name]
        return arguments

    def uv_environment(self, base: Mapping[str, str]) -> dict[str, str]:
        """``base`` with what uv reads from its environment; what the user set there wins.

        URLs go here and not into arguments, since every process may read another's arguments.
        """
        environment = dict(base)

        def offer(name: str, value: str | None, *same: str) -> None:
            if value and not any(base.get(key) for key in (name, *same)):
                environment[name] = value

        if not self.no_index:
            offer("UV_DEFAULT_INDEX", self.index_url, "UV_INDEX_URL")
            offer("UV_EXTRA_INDEX_URL", " ".join(self.extra_index_urls), "UV_INDEX")
        # Wheel folders add up: the project's own wheels are never what the user meant to hide.
        links = _union(
            tuple(filter(None, base.get("UV_FIND_LINKS", "").split(","))), self.find_links
        )
        if links:
            environment["UV_FIND_LINKS"] = ",".join(links)
        # pip takes the best version of all indexes; uv by default only looks in the first one
        # that has the package: https://docs.astral.sh/uv/pip/compatibility/
        offer("UV_INDEX_STRATEGY", "unsafe-best-match")
        offer("UV_PRERELEASE", "allow" if self.prerelease else None)
        offer("UV_INSECURE_HOST", " ".join(self.trusted_hosts))
        offer("UV_HTTP_TIMEOUT", str(self.timeout) if self.timeout else None)
        offer("UV_HTTP_RETRIES", None if self.retries is None else str(self.retries))
        offer("SSL_CERT_FILE", self.cert)
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            offer(name, self.proxy, name.lower(), "ALL_PROXY", "all_proxy")
        return environment


def resolution_inputs(environment: Mapping[str, str]) -> dict[str, str]:
    """What of uv's environment can change which packages are chosen."""
    return {name: environment[name] for name in sorted(_RESOLUTION & environment.keys())}


def mask(text: str) -> str:
    """Hide the credentials of every URL in a text."""
    return _CREDENTIALS.sub("****", text)


def has_credentials(text: str) -> bool:
    """Whether a URL in a text holds a password or token, other than as ``${NAME}``."""
    for match in _CREDENTIALS.finditer(text):
        if text[: match.start()].endswith("ssh://"):
            continue  # a user's name; keys stand elsewhere
        user, colon, password = match.group().partition(":")
        if _VARIABLE.sub("", password if colon else user):
            return True
    return False


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Replace each ``${NAME}`` that is set, as pip does in requirements files."""
    return _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), text)


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
