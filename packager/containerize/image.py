"""An image, composed and ready to be written somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bentofn.packager.containerize.blob import Blob, Layer, bytes_blob
from bentofn.packager.containerize.media import IMAGE_CONFIG
from bentofn.packager.registry.reference import Reference
from bentofn.packager.store import Descriptor
from bentofn.packager.store.descriptors import MANIFEST, REF_NAME
from bentofn.runtime.manifest import canonical_json


@dataclass(frozen=True)
class Image:
    """An image.

    Args:
        manifest: Its manifest.
        config: Its config.
        layers: Its layers, the lowest first.
        platform: OCI platform.
        mounts: Repository from which a registry may take a layer, by its digest.
    """

    manifest: Blob
    config: Blob
    layers: tuple[Layer, ...]
    platform: str
    mounts: Mapping[str, Reference]

    @property
    def digest(self) -> str:
        """Digest of its manifest."""
        return self.manifest.descriptor.digest

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """The config and the layers, each digest once."""
        every = (self.config, *(layer.blob for layer in self.layers))
        return tuple({blob.descriptor.digest: blob for blob in every}.values())

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return self.manifest.descriptor.size + sum(b.descriptor.size for b in self.blobs)


def make_image(
    config: Mapping[str, Any],
    layers: Sequence[Layer],
    platform: str,
    mounts: Mapping[str, Reference],
    annotations: Mapping[str, str],
) -> Image:
    """Make the manifest of an image.

    Args:
        config: Its config.
        layers: All of its layers, the lowest first.
        platform: OCI platform.
        mounts: Repository from which a registry may take a layer, by its digest.
        annotations: Of the manifest.
    """
    config_blob = bytes_blob(canonical_json(config), IMAGE_CONFIG)
    manifest: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config_blob.descriptor.to_json(),
        "layers": [layer.blob.descriptor.to_json() for layer in layers],
        "annotations": dict(annotations),
    }
    data = bytes_blob(canonical_json(manifest), MANIFEST)
    return Image(data, config_blob, tuple(layers), platform, mounts)


def described(image: Image, tag: str | None) -> Descriptor:
    """The image's entry in the index of a layout."""
    manifest = image.manifest.descriptor
    annotations = {REF_NAME: tag} if tag else {}
    return Descriptor(manifest.media_type, manifest.digest, manifest.size, annotations)
