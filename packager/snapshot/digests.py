"""Digests of large sparse files, a chunk at a time and in parallel.

A chunk of zeros has no digest, whether the disk holds the zeros or a hole: a file is the same
before and after it went through an archive. Holes are not read, for that would fill memory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bentofn.packager.snapshot.page_cache import populate

CHUNK = 2 << 20
"""Bytes of a chunk: one large page of x86-64 and of Arm with small pages of 4 KiB."""

_THREADS = 8
_ZEROS = bytes(CHUNK)


@dataclass(frozen=True)
class FileDigest:
    """What a file of a snapshot holds.

    Args:
        path: Relative to the snapshot, with slashes.
        size: Bytes.
        chunks: blake3 in hex of each :data:`CHUNK` bytes, the last may be shorter; empty for zeros.
    """

    path: str
    size: int
    chunks: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The digest as JSON."""
        return {"path": self.path, "size": self.size, "chunks": list(self.chunks)}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> FileDigest:
        """Read a digest.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        path, size, chunks = raw["path"], raw["size"], tuple(raw["chunks"])
        if not isinstance(path, str) or type(size) is not int:
            raise TypeError("path, size")
        if not all(isinstance(each, str) and len(each) in (0, 64) for each in chunks):
            raise TypeError("chunks")
        if size < 0 or len(chunks) != -(-size // CHUNK):
            raise ValueError("size")
        return cls(path, size, chunks)


def digest_file(folder: Path, path: str) -> FileDigest:
    """Read a file.

    Args:
        folder: The snapshot.
        path: The file in it.

    Raises:
        OSError: It cannot be read.
    """
    descriptor = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        size = os.fstat(descriptor).st_size
        digests = [""] * -(-size // CHUNK)
        with ThreadPoolExecutor(_threads()) as pool:
            present = list(chunks_with_data(descriptor, size))
            found = pool.map(partial(_digest_at, descriptor, size), present)
            for index, digest in zip(present, found, strict=True):
                digests[index] = digest
        return FileDigest(path, size, tuple(digests))
    finally:
        os.close(descriptor)


def digest_chunk(data: bytes) -> str:
    """The digest of one chunk; empty for zeros."""
    from blake3 import blake3

    return "" if data == _ZEROS[: len(data)] else blake3(data).hexdigest()


def chunks_with_data(descriptor: int, size: int) -> Iterator[int]:
    """The numbers of the chunks that are not wholly a hole, in order."""
    position = next_index = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError:  # ENXIO: nothing but a hole is left
            return
        position = os.lseek(descriptor, start, os.SEEK_HOLE)
        first = max(next_index, start // CHUNK)
        next_index = -(-position // CHUNK)
        yield from range(first, next_index)


def read_chunk(descriptor: int, index: int) -> bytes:
    """The bytes of a chunk."""
    parts = []
    offset, left = index * CHUNK, CHUNK
    while left:
        data = os.pread(descriptor, left, offset)
        if not data:
            break
        parts.append(data)
        offset, left = offset + len(data), left - len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _digest_at(descriptor: int, size: int, index: int) -> str:
    # A restored process maps what is read here. Only a help: where it fails, the read says why.
    if size >= CHUNK:
        with contextlib.suppress(OSError, ValueError):
            populate(descriptor, index * CHUNK, CHUNK)
    return digest_chunk(read_chunk(descriptor, index))


def _threads() -> int:
    return min(_THREADS, os.cpu_count() or 1)
