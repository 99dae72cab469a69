"""The chunks of a layer that are here: a sparse file, and a map of what it holds."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path

from bentofn.packager.layers.chunk import Chunk, read_chunk
from bentofn.packager.lazy.once import Once
from bentofn.runtime.errors import UserError

ATTEMPTS = 3
"""Times that a chunk is fetched whose bytes are not what its digest says."""

Check = Callable[[bytes, Chunk], bytes]
"""Makes a chunk of its bytes in the blob, or raises a UserError if they are not what it says."""

Fetch = Callable[[Chunk, bool], bytes]
"""Gives a chunk as it is in the blob; True asks not to trust what is on this machine."""


class ChunkCache:
    """Chunks of one layer, each fetched when it is first asked for and kept.

    Several processes may use the same files: a chunk is written before it is noted as there, and
    always with the same bytes. They are not flushed to the disk, so they are of no use after the
    machine started anew (:func:`cache_directory`).

    Args:
        path: The sparse file; the map stands beside it.
        chunks: The layer's chunks.
        fetch: Gets one.
        check: Checks and unpacks it.
    """

    def __init__(
        self, path: Path, chunks: Sequence[Chunk], fetch: Fetch, check: Check = read_chunk
    ) -> None:
        self._chunks = chunks
        self._fetch = fetch
        self._check = check
        self._once = Once()
        self._starts = [0, *accumulate(chunk.size for chunk in chunks)]
        self._data = _open(path, self._starts[-1])
        present = _open(path.with_suffix(".present"), max(1, len(chunks)))
        self._present = mmap.mmap(present, max(1, len(chunks)))
        os.close(present)

    def read(self, index: int, offset: int, size: int) -> bytes:
        """Bytes of a chunk.

        Args:
            index: The chunk's place in the layer.
            offset: In the chunk.
            size: How many at most.

        Raises:
            UserError: It cannot be had.
            OSError: The disk is full.
        """
        if not self._present[index]:
            self._once.do(self._chunks[index].offset, lambda: self._fill(index))
        size = min(size, self._chunks[index].size - offset)
        return os.pread(self._data, size, self._starts[index] + offset)

    def _fill(self, index: int) -> None:
        """Fetch a chunk's frame, and keep what else is in it: files that are small share one."""
        if self._present[index]:
            return
        chunk = self._chunks[index]
        packed = self._checked(chunk)
        first = last = index
        while first > 0 and self._chunks[first - 1].offset == chunk.offset:
            first -= 1
        while last + 1 < len(self._chunks) and self._chunks[last + 1].offset == chunk.offset:
            last += 1
        for each in range(first, last + 1):
            os.pwrite(self._data, self._check(packed, self._chunks[each]), self._starts[each])
            self._present[each] = 1

    def _checked(self, chunk: Chunk) -> bytes:
        """A chunk's frame that holds what the chunk's digest says."""
        for attempt in range(1, ATTEMPTS):
            packed = self._fetch(chunk, attempt > 1)
            try:
                self._check(packed, chunk)
            except UserError:
                continue  # other bytes: of the store's file, or on the way
            return packed
        packed = self._fetch(chunk, True)
        self._check(packed, chunk)
        return packed


def cache_directory(cache: Path) -> Path:
    """Where the caches of this boot of the machine stand.

    What was written before the machine last started may have been lost on the way to the disk.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return cache / "lazy" / "boots" / boot


def _open(path: Path, size: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    if os.fstat(descriptor).st_size < size:
        os.ftruncate(descriptor, size)
    return descriptor
