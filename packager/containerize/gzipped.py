"""Layers compressed anew with gzip, wherever they are, for platforms that take nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from bentofn.packager.containerize.blob import Layer, file_blob, open_chunks
from bentofn.packager.containerize.media import TAR_GZIP
from bentofn.packager.files import CHUNK
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import cached_layer, layer_key
from bentofn.packager.layers.stream import UNREADABLE, HashingReader, decompressor
from bentofn.packager.layers.tar import HashingWriter, compressor
from bentofn.packager.store import Descriptor, Store
from bentofn.runtime.errors import UserError


def gzip_layer(home: Home, store: Store, layer: Layer) -> Layer:
    """A layer of the same files, as gzip; one that is gzip already stays as it is.

    Args:
        home: Where descriptors are cached.
        store: Takes the layer.
        layer: The layer.

    Raises:
        UserError: The layer is damaged or cannot be had, or the disk is full.
    """
    blob = layer.blob
    kind = blob.descriptor.media_type
    if kind == TAR_GZIP:
        return layer

    def write() -> Descriptor:
        packed = HashingReader(open_chunks(blob.chunks()))
        hashed = hashlib.sha256()
        with store.blobs.stage() as staged:
            written = HashingWriter(staged.file)
            try:
                plain = decompressor(packed, kind)
                with compressor(written, "gzip") as out:
                    while chunk := plain.read(CHUNK):
                        hashed.update(chunk)
                        out.write(chunk)
                packed.finish()
            except UNREADABLE as error:
                raise _damaged(layer) from error
            if f"sha256:{hashed.hexdigest()}" != layer.diff_id:
                raise _damaged(layer)
            store.blobs.commit(staged, written.digest)
        return Descriptor(TAR_GZIP, written.digest, written.size)

    written = cached_layer(home, store, layer_key("gzip", blob.descriptor.digest), write)
    path = store.blob_path(written.digest)
    return replace(layer, blob=file_blob(path, written, f"The store {store.path}", "try again"))


def _damaged(layer: Layer) -> UserError:
    return UserError(
        f"The layer {layer.blob.descriptor.digest} does not unpack to {layer.diff_id}, as its "
        "image says; build the bento or copy the base image again."
    )
