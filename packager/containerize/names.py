"""How images are named on the command line, as skopeo and Docker name them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bentofn.packager.registry.reference import Reference, parse_reference
from bentofn.runtime.errors import UserError

Scheme = Literal["oci", "oci-archive", "docker-archive", "registry"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._/:@-]{0,254}")


@dataclass(frozen=True)
class Place:
    """Where an image is, or goes to.

    Args:
        scheme: What kind of place.
        text: As the user wrote it.
        path: The folder or file; not for a registry.
        tag: The image's name in an OCI layout, or None.
        reference: The image in a registry, whose tag may be a digest.
    """

    scheme: Scheme
    text: str
    path: Path = Path()
    tag: str | None = None
    reference: Reference | None = None


def parse_place(text: str) -> Place:
    """Read ``oci:DIR[:TAG]``, ``oci-archive:FILE[:TAG]``, ``docker-archive:FILE`` or an image's
    name in a registry, with or without ``docker://``.

    Raises:
        UserError: It is none of them.
    """
    scheme, colon, rest = text.partition(":")
    if colon and scheme in ("oci", "oci-archive"):
        path, tag = _path_and_tag(rest, text)
        return Place("oci" if scheme == "oci" else "oci-archive", text, path, tag)
    if colon and scheme == "docker-archive":
        if not rest:
            raise _malformed(text)
        return Place("docker-archive", text, Path(rest))
    name = text.removeprefix("docker://")
    if "://" in name or text.startswith((".", "/", "~")):
        raise _malformed(text)
    return Place("registry", text, reference=parse_image(name))


def parse_image(text: str) -> Reference:
    """Read an image's name as Docker does: without a registry it is Docker Hub's.

    Args:
        text: ``[REGISTRY/]REPOSITORY[:TAG][@DIGEST]``; a digest goes before a tag.

    Returns:
        The reference; its tag is the digest if there is one, or None.

    Raises:
        UserError: It breaks the distribution specification's rules.
    """
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise UserError(f"{text!r} does not end with a sha256 digest; write NAME@sha256:....")
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif first != "localhost" and "." not in first and ":" not in first:
        name = f"docker.io/{name}"
    reference = parse_reference(name)
    return Reference(reference.registry, reference.repository, digest) if at else reference


def check_image_tag(text: str) -> str:
    """Give back a name for an image, such as ``greeter:1`` or ``ghcr.io/me/greeter:1``.

    Raises:
        UserError: Docker would not take it.
    """
    if not _NAME.fullmatch(text) or "@" in text:
        raise UserError(f"{text!r} is not a name for an image; write it like greeter:1.")
    parse_image(text)
    return text


def full_name(tag: str) -> str:
    """A name with its tag, which is ``latest`` if none was given."""
    return tag if ":" in tag.rpartition("/")[2] else f"{tag}:latest"


def _path_and_tag(rest: str, text: str) -> tuple[Path, str | None]:
    path, colon, tag = rest.partition(":")
    if not path or (colon and not tag):
        raise _malformed(text)
    return Path(path), tag or None


def _malformed(text: str) -> UserError:
    return UserError(
        f"{text!r} does not name an image; write oci:DIR[:TAG], oci-archive:FILE[:TAG], "
        "docker-archive:FILE, or REGISTRY/REPOSITORY[:TAG]."
    )
