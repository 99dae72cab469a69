"""Media types of images: OCI's, and Docker's older names for the same bytes.

https://github.com/opencontainers/image-spec/blob/v1.1.0/media-types.md#compatibility-matrix
"""

from __future__ import annotations

from collections.abc import Mapping

from bentofn.packager.store.descriptors import INDEX, MANIFEST

IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"

TAR = "application/vnd.oci.image.layer.v1.tar"
TAR_GZIP = f"{TAR}+gzip"
TAR_ZSTD = f"{TAR}+zstd"

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"

MANIFESTS = frozenset({MANIFEST, DOCKER_MANIFEST})
INDEXES = frozenset({INDEX, DOCKER_INDEX})
CONFIGS = frozenset({IMAGE_CONFIG, DOCKER_CONFIG})

ACCEPT = ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX))
"""What a registry may answer with for the name of an image."""

_LAYERS: Mapping[str, str] = {
    TAR: TAR,
    TAR_GZIP: TAR_GZIP,
    TAR_ZSTD: TAR_ZSTD,
    "application/vnd.docker.image.rootfs.diff.tar": TAR,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": TAR_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar.zstd": TAR_ZSTD,
}


def layer_type(media_type: str) -> str | None:
    """OCI's name of a layer's media type; None for what is no layer that may be copied.

    Layers that must be had elsewhere ("foreign", "non-distributable") are none.
    """
    return _LAYERS.get(media_type)
