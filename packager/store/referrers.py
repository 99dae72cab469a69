"""Referrers: artifacts about an artifact, such as its SBOM, its signature, what to prefetch of it.

https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md#guidelines-for-artifact-usage
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from bentofn.packager.store.blobs import Blobs
from bentofn.packager.store.descriptors import MANIFEST, Descriptor
from bentofn.packager.store.index import Entry
from bentofn.packager.store.manifests import (
    read_blob,
    read_manifest,
    subject_of,
    total_size,
)
from bentofn.packager.store.store import Store
from bentofn.runtime.errors import UserError

EMPTY = "application/vnd.oci.empty.v1+json"
"""The media type of a blob that says nothing, ``{}``."""

MAX_CONTENT = 64 << 20
"""Bytes of a referrer's blob that is read into memory."""

_NO_ANNOTATIONS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Referrer:
    """An artifact that refers to another.

    Args:
        artifact_type: What it is.
        manifest: Its manifest.
        layers: Its blobs, in order.
        annotations: OCI annotations of its manifest.
    """

    artifact_type: str
    manifest: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The referrer as a descriptor of a layout's index."""
        # Without its annotations: they may come from anybody, and a name would make it an entry.
        plain = Descriptor(MANIFEST, self.manifest.digest, self.manifest.size)
        return {**plain.to_json(), "artifactType": self.artifact_type}


def subject_descriptor(entry: Entry) -> Descriptor:
    """An entry's manifest, as the subject of a referrer."""
    return Descriptor(MANIFEST, entry.digest, entry.manifest_size)


def put_referrer(
    store: Store,
    subject: Descriptor,
    artifact_type: str,
    layers: Sequence[Descriptor],
    annotations: Mapping[str, str] = _NO_ANNOTATIONS,
    *,
    replace: bool = False,
) -> Referrer:
    """Store an artifact that refers to another; the same again changes nothing.

    Args:
        store: The store.
        subject: The manifest that it refers to, which an entry of the store has.
        artifact_type: What it is, a media type.
        layers: Its blobs, which are in the store.
        annotations: OCI annotations of its manifest.
        replace: Whether older ones of this type and subject go.

    Raises:
        UserError: The subject or a blob is not in the store, or the store cannot be written.
    """
    config = store.put_bytes(b"{}", EMPTY)
    manifest = store.put_manifest(artifact_type, config, layers or [config], annotations, subject)
    referrer = Referrer(artifact_type, manifest, tuple(layers or [config]), dict(annotations))
    add_referrer(store, subject.digest, referrer, replace=replace)
    return referrer


def add_referrer(
    store: Store, subject_digest: str, referrer: Referrer, *, replace: bool = False
) -> None:
    """Name a referrer, whose manifest and blobs are in the store, in its index.

    Raises:
        UserError: The subject or a blob is not in the store, or the store cannot be written.
    """
    with store.editing() as index:
        if all(raw["digest"] != subject_digest for raw in index):
            raise UserError(f"There is no artifact {subject_digest} in {store.path} to refer to.")
        total_size(store.blobs, referrer.manifest)
        digest = referrer.manifest.digest
        if replace:
            older = {
                found.manifest.digest
                for found in _of(store.blobs, index, subject_digest, referrer.artifact_type)
            }
            index[:] = [raw for raw in index if raw["digest"] not in older - {digest}]
        if all(raw["digest"] != digest for raw in index):
            index.append(referrer.to_json())


def referrers(
    store: Store, subject_digest: str, artifact_type: str | None = None
) -> list[Referrer]:
    """What refers to a manifest, in the order in which it was added.

    Args:
        store: The store.
        subject_digest: The manifest's digest.
        artifact_type: Only those of this type.

    Returns:
        The referrers; one whose manifest is damaged is not among them.

    Raises:
        UserError: The index is damaged.
    """
    return _of(store.blobs, store.index(), subject_digest, artifact_type)


def remove_referrer(store: Store, digest: str) -> None:
    """Forget one referrer, by the digest of its manifest.

    Raises:
        UserError: The index is damaged, or the store cannot be written.
    """
    with store.editing() as index:
        index[:] = [raw for raw in index if raw["digest"] != digest]


def read_content(store: Store, referrer: Referrer, layer: int = 0) -> bytes:
    """The content of a referrer's small blob.

    Raises:
        UserError: It is missing, damaged or not small.
    """
    blob = referrer.layers[layer]
    if blob.size > MAX_CONTENT:
        raise UserError(f"The {referrer.artifact_type} of a bento is too large to be read.")
    return read_blob(store.blobs, blob.digest, f"an artifact of {referrer.artifact_type}")


def _of(
    blobs: Blobs,
    index: Sequence[Mapping[str, Any]],
    subject_digest: str,
    artifact_type: str | None,
) -> list[Referrer]:
    return [
        _read(blobs, raw)
        for raw in index
        if artifact_type in (None, raw.get("artifactType"))
        and raw["digest"] != subject_digest
        and subject_of(blobs, raw) == subject_digest
    ]


def _read(blobs: Blobs, raw: Mapping[str, Any]) -> Referrer:
    digest = str(raw["digest"])
    manifest = read_manifest(blobs, digest, f"the manifest {digest}")
    return Referrer(
        artifact_type=str(manifest.get("artifactType") or manifest["config"]["mediaType"]),
        manifest=Descriptor(MANIFEST, digest, int(raw["size"])),
        layers=tuple(Descriptor.from_json(layer) for layer in manifest["layers"]),
        annotations=dict(manifest.get("annotations") or {}),
    )
