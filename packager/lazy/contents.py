"""Files of a lazy bento: their bytes, wherever they are."""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

from bentofn.packager.fuse.tree import FileContent
from bentofn.packager.lazy.blobs import RemoteBlobs
from bentofn.packager.lazy.chunks import ChunkCache
from bentofn.packager.parts import ModelLayer
from bentofn.packager.prefetch.trace import Range
from bentofn.runtime.errors import UserError

PUSH = 1 << 20
"""Bytes given to the kernel at a time."""

MOST_PUSHED = 1 << 30
"""Bytes of one file that the kernel is given when it is opened; for more it asks."""

WHOLE = 4 << 20
"""Bytes up to which a file that is here is given to the kernel whole when it is opened."""


class Pages:
    """The hot pages of a file, which came in the pack.

    Args:
        descriptor: The unpacked pack.
        ranges: The file's ranges, ascending, and where each starts in the pack.
    """

    def __init__(self, descriptor: int, ranges: Sequence[tuple[Range, int]]) -> None:
        self._descriptor = descriptor
        self._ranges = ranges
        self._starts = [offset for (offset, _), _ in ranges]

    def read(self, offset: int, size: int) -> bytes:
        """What there is from an offset on, perhaps nothing."""
        index = bisect_right(self._starts, offset) - 1
        if index < 0:
            return b""
        (start, length), position = self._ranges[index]
        inside = offset - start
        if inside >= length:
            return b""
        return os.pread(self._descriptor, min(size, length - inside), position + inside)

    def next_start(self, offset: int, end: int) -> int:
        """Where the next range after an offset starts, at most ``end``."""
        index = bisect_right(self._starts, offset)
        return min(end, self._starts[index]) if index < len(self._starts) else end


class Rest(Protocol):
    """The bytes of a file that are not in the pack."""

    def read(self, offset: int, size: int) -> bytes:
        """Some bytes from an offset on, at least one.

        Raises:
            UserError: They cannot be had.
        """


@dataclass(frozen=True)
class LazyContent:
    """A file of which pages are missing.

    Args:
        size: Its bytes.
        ranges: What of it is hot.
        pages: What came in the pack.
        rest: The others.
        failed: Told why bytes cannot be had.
    """

    size: int
    ranges: Sequence[Range]
    pages: Pages
    rest: Rest
    failed: Callable[[str], None]

    def read(self, offset: int, size: int) -> bytes:
        """See :class:`bentofn.packager.fuse.tree.Content`."""
        end = min(offset + size, self.size)
        found = bytearray()
        while offset < end:
            piece = self.pages.read(offset, end - offset)
            if not piece:
                piece = self._fetch(offset, self.pages.next_start(offset, end) - offset)
            found += piece
            offset += len(piece)
        return bytes(found)

    def hot(self) -> Iterator[tuple[int, bytes]]:
        """See :class:`bentofn.packager.fuse.tree.Content`."""
        pieces = (
            (offset, min(PUSH, start + size - offset))
            for start, size in self.ranges
            for offset in range(start, start + size, PUSH)
        )
        for offset, size in islice(pieces, MOST_PUSHED // PUSH):
            yield offset, self.read(offset, size)

    def _fetch(self, offset: int, size: int) -> bytes:
        try:
            return self.rest.read(offset, size)
        except (UserError, OSError) as error:
            self.failed(str(error))
            raise OSError(errno.EIO, "it cannot be fetched") from error


@dataclass(frozen=True)
class ChunkedRest:
    """The bytes of a file of a chunked layer.

    Args:
        cache: The layer's chunks.
        first: Index of the file's first chunk in the layer.
        starts: Where each of its chunks starts in the file.
    """

    cache: ChunkCache
    first: int
    starts: Sequence[int]

    def read(self, offset: int, size: int) -> bytes:
        """See :class:`Rest`."""
        index = bisect_right(self.starts, offset) - 1
        return self.cache.read(self.first + index, offset - self.starts[index], size)


@dataclass(frozen=True)
class PartsRest:
    """The bytes of a model's file that is stored in parts.

    Args:
        blobs: Where the parts come from.
        parts: They, in order.
        caches: The blocks of each; None where only the whole part can be checked.
        block: Bytes of a block.
    """

    blobs: RemoteBlobs
    parts: Sequence[ModelLayer]
    caches: Sequence[ChunkCache | None]
    block: int

    def read(self, offset: int, size: int) -> bytes:
        """See :class:`Rest`."""
        index = bisect_right(self.parts, offset, key=lambda part: part.offset) - 1
        part = self.parts[index]
        inside = offset - part.offset
        cache = self.caches[index]
        if cache is not None and not self.blobs.store.has(part.blob.digest):
            return cache.read(inside // self.block, inside % self.block, size)
        self.blobs.whole(part.blob)
        size = min(size, part.blob.size - inside)
        with self.blobs.store.blob_path(part.blob.digest).open("rb") as file:
            return os.pread(file.fileno(), size, inside)


class WholeContent(FileContent):
    """A file that is here: the kernel gets it whole when it is opened, if it is small."""

    def hot(self) -> Iterator[tuple[int, bytes]]:
        """See :class:`bentofn.packager.fuse.tree.Content`."""
        if 0 < self.size <= WHOLE:
            yield 0, self.path.read_bytes()


def whole_content(path: Path) -> WholeContent:
    """A file of this machine."""
    return WholeContent(path, path.stat().st_size)
