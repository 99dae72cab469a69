"""Reads the manifests and configs among a store's blobs, each checked against its digest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from bentofn.packager.store.blobs import Blobs, digest_of
from bentofn.packager.store.descriptors import MANIFEST, REF_NAME, Descriptor
from bentofn.runtime.errors import UserError


def read_blob(blobs: Blobs, digest: str, what: str) -> bytes:
    """Read a small blob.

    Args:
        blobs: The store's blobs.
        digest: Its digest.
        what: What it is, for the message.

    Raises:
        UserError: It is missing or damaged.
    """
    try:
        data = blobs.path(digest).read_bytes()
    except FileNotFoundError as error:
        raise _damaged(what, digest) from error
    if digest_of(data) != digest:
        _remove_damaged(blobs, digest)
        raise _damaged(what, digest)
    return data


def read_manifest(blobs: Blobs, digest: str, what: str) -> dict[str, Any]:
    """Read a manifest or an index; arguments and failures as :func:`read_blob`."""
    try:
        raw = json.loads(read_blob(blobs, digest, what))
    except ValueError as error:
        raise _damaged(what, digest) from error
    if not isinstance(raw, dict):
        raise _damaged(what, digest)
    return raw


def named(manifest: Mapping[str, Any]) -> list[Descriptor]:
    """The config and the layers that a manifest names."""
    config = [manifest["config"]] if manifest.get("config") else []
    return [Descriptor.from_json(raw) for raw in [*config, *manifest.get("layers", ())]]


def reached(blobs: Blobs, roots: Iterable[str]) -> set[str]:
    """The digests of manifests and of all that they name, and so on.

    Raises:
        UserError: A manifest is missing or damaged.
    """
    found: set[str] = set()
    manifests = list(roots)
    while manifests:
        digest = manifests.pop()
        if digest in found:
            continue
        found.add(digest)
        raw = read_manifest(blobs, digest, f"the manifest {digest}")
        manifests += [str(nested["digest"]) for nested in raw.get("manifests", ())]
        found.update(descriptor.digest for descriptor in named(raw))
    return found


def subject_of(blobs: Blobs, raw: Mapping[str, Any]) -> str | None:
    """The digest of what a manifest of the index refers to, or None for one that stands alone.

    A manifest without a name that cannot be read refers to nothing that anybody can tell: ``""``.
    """
    # What has a name is a bento, a model or another tool's, and no referrer.
    named_one = REF_NAME in (raw.get("annotations") or {})
    if named_one or str(raw.get("mediaType", MANIFEST)) != MANIFEST:
        return None
    digest = str(raw["digest"])
    try:
        subject = read_manifest(blobs, digest, f"the manifest {digest}").get("subject")
        return Descriptor.from_json(subject).digest if isinstance(subject, Mapping) else None
    except UserError:
        return ""


def without_orphans(blobs: Blobs, index: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The index without the referrers whose subject it does not hold any more."""
    found = [(dict(raw), subject_of(blobs, raw)) for raw in index]
    while True:
        digests = {str(raw["digest"]) for raw, _ in found}
        kept = [(raw, subject) for raw, subject in found if subject is None or subject in digests]
        if len(kept) == len(found):
            return [raw for raw, _ in kept]
        found = kept


def total_size(blobs: Blobs, manifest: Descriptor, *, lazy: bool = False) -> int:
    """Bytes of a manifest and of each blob that it names, after a look that all are there.

    Args:
        blobs: The store's blobs.
        manifest: The manifest.
        lazy: Whether blobs may be missing; one that is there must be whole even so.

    Raises:
        UserError: One is missing or has another size.
    """
    sizes = {manifest.digest: manifest.size}
    for descriptor in named(read_manifest(blobs, manifest.digest, "a manifest")):
        path = blobs.path(descriptor.digest)
        sizes[descriptor.digest] = descriptor.size
        if lazy and not path.exists():
            continue
        if not path.is_file() or path.stat().st_size != descriptor.size:
            _remove_damaged(blobs, descriptor.digest)
            raise UserError(
                f"The blob {descriptor.digest} is missing from {blobs.directory} or damaged; "
                "do the same again to write it anew."
            )
    return sum(sizes.values())


def _remove_damaged(blobs: Blobs, digest: str) -> None:
    # Or the next build would take it for the blob that it makes, and never mend it.
    with suppress(UserError):
        blobs.remove(digest)


def _damaged(what: str, digest: str) -> UserError:
    return UserError(
        f"The blob of {what} ({digest}) is missing or damaged; build or import it again."
    )
