"""The archive of a layer, unpacked and checked while it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from bentofn.packager.containerize.blob import Layer, open_chunks
from bentofn.packager.files import CHUNK
from bentofn.packager.layers.stream import UNREADABLE, HashingReader, decompressor
from bentofn.runtime.errors import UserError


def plain_chunks(layer: Layer) -> Iterator[bytes]:
    """The bytes of a layer's tar archive; they are not to be trusted before the last is given.

    Raises:
        UserError: The layer cannot be had, or unpacks to something else than its image says.
    """
    hashed = hashlib.sha256()
    packed = HashingReader(open_chunks(layer.blob.chunks()))
    try:
        plain = decompressor(packed, layer.blob.descriptor.media_type)
        while chunk := plain.read(CHUNK):
            hashed.update(chunk)
            yield chunk
        packed.finish()
    except UNREADABLE as error:
        raise _damaged(layer) from error
    if f"sha256:{hashed.hexdigest()}" != layer.diff_id:
        raise _damaged(layer)


def _damaged(layer: Layer) -> UserError:
    return UserError(
        f"The layer {layer.blob.descriptor.digest} does not unpack to {layer.diff_id}, as its "
        "image says; build the bento or copy the base image again."
    )
