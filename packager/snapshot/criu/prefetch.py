"""Read a snapshot's hot set ahead while it is restored, where the page cache does not hold it."""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.snapshot.criu.hot import HotFile, HotSet
from bentofn.packager.snapshot.criu.layout import HUGE
from bentofn.packager.snapshot.page_cache import is_cached, populate

_READERS = 4
"""Readers at once: as many as a disk needs to be busy."""

_PIECE = 4 * HUGE
"""Bytes that a reader takes at a time."""

_PROBES = 64
"""Places that are looked at to see whether a hot set is in the page cache."""


@dataclass(frozen=True)
class _Piece:
    path: Path
    offset: int
    length: int


class Prefetch:
    """Reads one snapshot's hot set ahead.

    Call ``start`` at each start of an instance, right after the restore was asked for, from any
    thread; in asyncio directly, for it does not wait for the disk. Where everything is in the page
    cache already, which it sees from a few dozen places in a fraction of a millisecond, that is
    all. Else a few threads read until everything is there; starts that come meanwhile share them.

    Args:
        hot: What to read; ``load_hot_set(snapshot)`` gives it.
    """

    def __init__(self, hot: HotSet) -> None:
        self._wanted = [piece for file in hot.files for piece in _pieces(file)]
        self._probes = _probes(hot)
        self._lock = threading.Lock()
        self._pieces: deque[_Piece] = deque()
        self._readers: list[threading.Thread] = []

    def start(self) -> bool:
        """Read what is not in memory.

        Returns:
            Whether anything is being read.
        """
        with self._lock:
            if any(reader.is_alive() for reader in self._readers):
                return True
            if self.is_resident():
                return False
            self._pieces = deque(self._wanted)
            self._readers = [
                threading.Thread(target=_read, args=(self._pieces,), name="prefetch", daemon=True)
                for _ in range(_READERS)
            ]
            for reader in self._readers:
                reader.start()
            return True

    def is_resident(self) -> bool:
        """Whether the page cache holds the hot set, as far as a few dozen places of it say."""
        return all(_in_page_cache(path, offsets) for path, offsets in self._probes.items())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until everything is read, at most ``timeout`` seconds; say whether it is."""
        for reader in self._readers:
            reader.join(timeout)
        return not any(reader.is_alive() for reader in self._readers)

    def close(self) -> None:
        """Stop reading, and wait for what is under way (a few milliseconds)."""
        self._pieces.clear()
        self.wait()


def _pieces(file: HotFile, size: int = _PIECE) -> Iterator[_Piece]:
    """What to read of a file: blocks of 2 MiB where a good part of one is hot, else its ranges."""
    blocks: dict[int, list[tuple[int, int]]] = {}
    for offset, length in file.ranges:
        for block in range(offset // HUGE, -(-(offset + length) // HUGE)):
            first = max(offset, block * HUGE)
            blocks.setdefault(block, []).append(
                (first, min(offset + length, (block + 1) * HUGE) - first)
            )
    whole: _Piece | None = None
    for block, ranges in sorted(blocks.items()):
        if sum(length for _, length in ranges) * 4 < HUGE:
            yield from (_Piece(file.path, offset, length) for offset, length in ranges)
        elif whole and whole.offset + whole.length == block * HUGE and whole.length < size:
            whole = _Piece(file.path, whole.offset, whole.length + HUGE)
        else:
            if whole:
                yield whole
            whole = _Piece(file.path, block * HUGE, HUGE)
    if whole:
        yield whole


def _probes(hot: HotSet) -> dict[Path, list[int]]:
    """A few dozen offsets, evenly among all that is hot."""
    pieces = [piece for file in hot.files for piece in _pieces(file, HUGE)]
    probes: dict[Path, list[int]] = {}
    for piece in pieces[:: len(pieces) // _PROBES + 1]:
        probes.setdefault(piece.path, []).append(piece.offset)
    return probes


def _in_page_cache(path: Path, offsets: list[int]) -> bool:
    """Whether the bytes at some offsets can be read without waiting for a disk."""
    try:
        with _opened(path) as descriptor:
            return all(is_cached(descriptor, offset) for offset in offsets)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _read(pieces: deque[_Piece]) -> None:
    with suppress(IndexError):
        while True:
            piece = pieces.popleft()
            # Reading ahead is a help, not a need: what fails here, the restore itself says.
            with suppress(OSError, ValueError), _opened(piece.path) as descriptor:
                if piece.length < HUGE or not populate(descriptor, piece.offset, piece.length):
                    _copy(descriptor, piece)


def _copy(descriptor: int, piece: _Piece) -> None:
    buffer = memoryview(bytearray(min(piece.length, HUGE)))
    position, end = piece.offset, piece.offset + piece.length
    while position < end:
        count = os.preadv(descriptor, [buffer[: end - position]], position)
        if not count:
            return
        position += count


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(path)
        yield descriptor
    finally:
        os.close(descriptor)
