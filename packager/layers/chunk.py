"""A piece of a file in a zstd:chunked layer, which can be fetched and unpacked alone."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import zstandard

from bentofn.runtime.errors import UserError

MAX_CHUNK = 8 << 20
"""Plain bytes of the largest frame that a bento may have, and so of a chunk."""


@dataclass(frozen=True)
class Chunk:
    """A piece of a file that can be fetched and unpacked alone.

    Small files may share a frame: chunks of the same offset are in the same one.

    Args:
        file_offset: Where it starts in the file, in bytes.
        size: Its plain bytes.
        offset: Where its zstd frame starts in the blob.
        end: Where that ends.
        digest: ``sha256:HEX`` of the plain bytes.
        inner: Where they start in what the frame holds.
    """

    file_offset: int
    size: int
    offset: int
    end: int
    digest: str
    inner: int = 0


def read_chunk(data: bytes, chunk: Chunk) -> bytes:
    """Unpack a chunk.

    Args:
        data: The bytes of the blob from the chunk's offset to its end.
        chunk: The chunk.

    Raises:
        UserError: They are others than the chunk's digest says.
    """
    plain = b""
    if chunk.inner + chunk.size <= MAX_CHUNK:
        decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_CHUNK)
        try:
            frame = decompressor.stream_reader(io.BytesIO(data))
            plain = frame.read(chunk.inner + chunk.size)[chunk.inner :]
        except zstandard.ZstdError:
            plain = b""
    if len(plain) != chunk.size or f"sha256:{hashlib.sha256(plain).hexdigest()}" != chunk.digest:
        raise UserError(
            f"A piece of a layer is damaged: the {len(data)} bytes at {chunk.offset} are others "
            f"than {chunk.digest} says; fetch them again, or pull or build the bento again."
        )
    return plain
