"""Put layers into the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from bentofn.packager.layers.chunked import Packing, write_chunked
from bentofn.packager.layers.files import LayerEntry
from bentofn.packager.layers.tar import ZSTD_LEVEL, Compression, write_layer
from bentofn.packager.layers.toc import TOC_TYPE
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.descriptors import (
    LAYER_DIFF_ID,
    LAYER_KIND,
    LAYER_TOC_CHECKSUM,
    LAYER_TOC_POSITION,
    TAR_SPLIT_POSITION,
    TITLE,
    TOC_CHECKSUM,
    TOC_POSITION,
)

LayerKind = Literal["env", "bytecode", "runtime", "code", "model", "compiled"]

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
    level: int = ZSTD_LEVEL,
) -> Descriptor:
    """Write files as a layer straight into the store.

    Args:
        store: The store.
        files: The entries, with paths below ``opt/bento``.
        kind: What the layer holds.
        title: Its name for users.
        compression: How to compress it.
        level: The level of zstd.

    Raises:
        UserError: A file cannot be read, the disk is full or the store cannot be written.
        ValueError: As :func:`write_layer`.
    """
    with store.blobs.stage() as staged:
        layer = write_layer(files, staged.file, compression, level)
        store.blobs.commit(staged, layer.digest)
    return Descriptor(
        MEDIA_TYPES[compression],
        layer.digest,
        layer.size,
        {TITLE: title, LAYER_KIND: kind, LAYER_DIFF_ID: layer.diff_id},
    )


def put_chunked(
    store: Store,
    files: Iterable[LayerEntry],
    *,
    kind: LayerKind,
    title: str,
    packing: Packing,
    gather: bool,
) -> Descriptor:
    """Write files as a layer that can be fetched in pieces, see :mod:`.chunked`.

    Args:
        store: The store.
        files: The entries, with paths below ``opt/bento``.
        kind: What the layer holds.
        title: Its name for users.
        packing: How hard to compress.
        gather: Whether small files share frames; without, containers/storage can use the table.

    Raises:
        UserError: A file cannot be read, the disk is full or the store cannot be written.
        ValueError: As :func:`write_chunked`.
    """
    with store.blobs.stage() as staged:
        made = write_chunked(files, staged.file, packing, gather=gather)
        store.blobs.commit(staged, made.layer.digest)
    annotations = {TITLE: title, LAYER_KIND: kind, LAYER_DIFF_ID: made.layer.diff_id}
    if made.toc is not None:
        offset, length, plain, checksum = made.toc
        names = (LAYER_TOC_POSITION, LAYER_TOC_CHECKSUM) if gather else (TOC_POSITION, TOC_CHECKSUM)
        annotations[names[0]] = f"{offset}:{length}:{plain}:{TOC_TYPE}"
        annotations[names[1]] = checksum
    if made.tar_split is not None:
        annotations[TAR_SPLIT_POSITION] = ":".join(map(str, made.tar_split))
    return Descriptor(MEDIA_TYPES["zstd"], made.layer.digest, made.layer.size, annotations)
