"""The same archive compressed otherwise: for targets that do not take zstd."""

from __future__ import annotations

import hashlib

from bentofn.packager.files import CHUNK
from bentofn.packager.layer_cache import cached_layer, layer_key
from bentofn.packager.layers.put import MEDIA_TYPES
from bentofn.packager.layers.stream import UNREADABLE, HashingReader, decompressor
from bentofn.packager.layers.tar import Compression, HashingWriter, compressor
from bentofn.packager.store import Descriptor, LayerInfo, Store
from bentofn.packager.store.descriptors import (
    LAYER_DIFF_ID,
    LAYER_TOC_CHECKSUM,
    LAYER_TOC_POSITION,
    TAR_SPLIT_POSITION,
    TOC_CHECKSUM,
    TOC_POSITION,
)
from bentofn.runtime.errors import UserError

_OF_THE_BLOB = {
    TOC_POSITION,
    TOC_CHECKSUM,
    TAR_SPLIT_POSITION,
    LAYER_TOC_POSITION,
    LAYER_TOC_CHECKSUM,
}


def recompress(store: Store, layer: Descriptor, compression: Compression) -> Descriptor:
    """A stored layer with another compression: its archive, and so its diff-id, stays the same.

    The result is in the store too, and made once; the same layer gives the same bytes, with the
    same zlib or zstd. Nothing is held in memory but a few blocks.

    Args:
        store: The store.
        layer: A tar archive in it.
        compression: What is wanted; a layer that has it is given back as it is.

    Raises:
        UserError: The layer is damaged, or the disk is full.
    """
    media_type = MEDIA_TYPES[compression]
    if layer.media_type == media_type:
        return layer
    key = layer_key("recompressed", layer.digest, compression)
    made = cached_layer(store.home, store, key, lambda: _make(store, layer, compression))
    # The annotations are of the layer, whatever it was called when it was first made.
    annotations = {k: v for k, v in layer.annotations.items() if k not in _OF_THE_BLOB}
    diff_id = made.annotations[LAYER_DIFF_ID]
    return Descriptor(media_type, made.digest, made.size, annotations | {LAYER_DIFF_ID: diff_id})


def _make(store: Store, layer: Descriptor, compression: Compression) -> Descriptor:
    try:
        with store.blob_path(layer.digest).open("rb") as file, store.blobs.stage() as staged:
            source, plain = HashingReader(file), hashlib.sha256()
            written = HashingWriter(staged.file)
            archive = decompressor(source, layer.media_type)
            with compressor(written, compression) as out:
                while data := archive.read(CHUNK):
                    plain.update(data)
                    out.write(data)
            diff_id = f"sha256:{plain.hexdigest()}"
            whole = source.finish() == layer.digest
            if not whole or layer.annotations.get(LAYER_DIFF_ID, diff_id) != diff_id:
                raise _damaged(store, layer)
            store.blobs.commit(staged, written.digest)
    except (FileNotFoundError, *UNREADABLE) as error:
        raise _damaged(store, layer) from error
    annotations = {LAYER_DIFF_ID: diff_id}
    return Descriptor(MEDIA_TYPES[compression], written.digest, written.size, annotations)


def _damaged(store: Store, layer: Descriptor) -> UserError:
    return UserError(
        f"The layer {LayerInfo.of(layer).name!r} ({layer.digest}) is damaged or missing in "
        f"{store.path}; build or pull the bento again to write it anew."
    )
