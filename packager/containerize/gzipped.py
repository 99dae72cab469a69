"""Layers compressed anew with gzip, wherever they are, for platforms that take nothing else."""

from __future__ import annotations

from dataclasses import replace

from bentofn.packager.containerize.blob import Layer, file_blob
from bentofn.packager.containerize.media import TAR_GZIP
from bentofn.packager.containerize.plain import plain_chunks
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import cached_layer, layer_key
from bentofn.packager.layers.tar import HashingWriter, compressor
from bentofn.packager.store import Descriptor, Store


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
    if blob.descriptor.media_type == TAR_GZIP:
        return layer

    def write() -> Descriptor:
        with store.blobs.stage() as staged:
            written = HashingWriter(staged.file)
            with compressor(written, "gzip") as out:
                for chunk in plain_chunks(layer):
                    out.write(chunk)
            store.blobs.commit(staged, written.digest)
        return Descriptor(TAR_GZIP, written.digest, written.size)

    written = cached_layer(home, store, layer_key("gzip", blob.descriptor.digest), write)
    path = store.blob_path(written.digest)
    return replace(layer, blob=file_blob(path, written, f"The store {store.path}", "try again"))
