"""Put layers into the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from bentofn.packager.layers.files import LayerEntry
from bentofn.packager.layers.tar import Compression, write_layer
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.descriptors import LAYER_DIFF_ID, LAYER_KIND, TITLE

LayerKind = Literal["env", "bytecode", "runtime", "code", "model"]

MEDIA_TYPES: Mapping[Compression, str] = {
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "none": "application/vnd.oci.image.layer.v1.tar",
}


def put_layer(
    store: Store,
    files: Iterable[LayerEntry],
    *,
    kind: LayerKind,
    title: str,
    compression: Compression = "zstd",
) -> Descriptor:
    """Write files as a layer straight into the store.

    Args:
        store: The store.
        files: The entries, with paths below ``opt/bento``.
        kind: What the layer holds.
        title: Its name for users.
        compression: How to compress it.

    Raises:
        UserError: A file cannot be read, the disk is full or the store cannot be written.
        ValueError: As :func:`write_layer`.
    """
    with store.blobs.stage() as staged:
        layer = write_layer(files, staged.file, compression)
        store.blobs.commit(staged, layer.digest)
    return Descriptor(
        MEDIA_TYPES[compression],
        layer.digest,
        layer.size,
        {TITLE: title, LAYER_KIND: kind, LAYER_DIFF_ID: layer.diff_id},
    )
