"""Read a snapshot's hot set ahead while it is restored, where the page cache does not hold it."""

from __future__ import annotations

import os
import stat
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.snapshot.criu.hot import HotFile, HotSet
from bentofn.packager.snapshot.criu.layout import HUGE
from bentofn.packager.snapshot.page_cache import ON_DEMAND, devices_of, is_cached, populate

_READERS = 4
"""Readers at once: as many as a disk needs to be busy."""

_PIECE = 4 * HUGE
"""Bytes that a reader takes at a time."""

_PROBES = 64
"""Places that are looked at to see whether a hot set is in the page cache."""


_DENSE = 0.9
"""Part of a block of 2 MiB from which on it is read whole; what is less is read by its ranges."""

_RANGES = 8
"""Ranges of a file that a reader takes at a time."""


@dataclass(frozen=True)
class _Piece:
    """Some ranges of a file, in bytes, for which it is opened once."""

    path: Path
    ranges: tuple[tuple[int, int], ...]


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
        slow = devices_of(ON_DEMAND)  # what is fetched over a network is fetched by who needs it
        files = [file for file in hot.files if _device(file.path) not in slow]
        self._scattered = [piece for file in files for piece in _scattered(file)]
        self._blocks = [piece for file in files for piece in _blocks(file)]
        self._probes = _probes(self._scattered + self._blocks)
        self._lock = threading.Lock()
        self._work: list[_Work] = []
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
            # What a process needs before it computes stands here and there, beside what nobody
            # needs; its weights stand in whole blocks, and would keep the disk from all else.
            self._work = [
                _Work(_ask_for, deque(self._scattered)),
                _Work(_wait_for, deque(self._scattered)),
                _Work(_bring, deque(self._blocks)),
            ]
            self._readers = [
                threading.Thread(target=_read, args=(self._work,), name="prefetch", daemon=True)
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
        for work in self._work:
            work.pieces.clear()
        self.wait()


@dataclass(frozen=True)
class _Work:
    """What readers do with each of some pieces."""

    do: Callable[[int, int, int], None]
    pieces: deque[_Piece]


def _by_block(file: HotFile) -> dict[int, list[tuple[int, int]]]:
    """The ranges within each block of 2 MiB."""
    blocks: dict[int, list[tuple[int, int]]] = {}
    for offset, length in file.ranges:
        for block in range(offset // HUGE, -(-(offset + length) // HUGE)):
            first = max(offset, block * HUGE)
            last = min(offset + length, (block + 1) * HUGE)
            blocks.setdefault(block, []).append((first, last - first))
    return blocks


def _is_dense(ranges: list[tuple[int, int]]) -> bool:
    return sum(length for _, length in ranges) >= _DENSE * HUGE


def _blocks(file: HotFile) -> Iterator[_Piece]:
    """The blocks of a file of which nearly all is hot."""
    first = last = -1
    for block, ranges in sorted(_by_block(file).items()):
        if not _is_dense(ranges):
            continue
        if block == last and (last - first) * HUGE < _PIECE:
            last += 1
            continue
        if first >= 0:
            yield _Piece(file.path, ((first * HUGE, (last - first) * HUGE),))
        first, last = block, block + 1
    if first >= 0:
        yield _Piece(file.path, ((first * HUGE, (last - first) * HUGE),))


def _scattered(file: HotFile) -> Iterator[_Piece]:
    """The ranges of a file that are in none of these blocks."""
    found = [
        each
        for _, ranges in sorted(_by_block(file).items())
        if not _is_dense(ranges)
        for each in ranges
    ]
    for first in range(0, len(found), _RANGES):
        yield _Piece(file.path, tuple(found[first : first + _RANGES]))


def _probes(pieces: list[_Piece]) -> dict[Path, list[int]]:
    """A few dozen offsets, evenly among all that is hot."""
    ranges = [(piece.path, offset) for piece in pieces for offset, _ in piece.ranges]
    probes: dict[Path, list[int]] = {}
    for path, offset in ranges[:: len(ranges) // _PROBES + 1]:
        probes.setdefault(path, []).append(offset)
    return probes


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def _in_page_cache(path: Path, offsets: list[int]) -> bool:
    """Whether the bytes at some offsets can be read without waiting for a disk."""
    try:
        with _opened(path) as descriptor:
            return all(is_cached(descriptor, offset) for offset in offsets)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _read(steps: list[_Work]) -> None:
    for work in steps:
        with suppress(IndexError):
            while True:
                piece = work.pieces.popleft()
                # Reading ahead is a help, not a need: what fails here, the restore itself says.
                with suppress(OSError, ValueError), _opened(piece.path) as descriptor:
                    for offset, length in piece.ranges:
                        work.do(descriptor, offset, length)


def _ask_for(descriptor: int, offset: int, length: int) -> None:
    """Have the disk begin to read a range."""
    os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)


def _wait_for(descriptor: int, offset: int, length: int) -> None:
    """Wait until the last byte of a range is there."""
    os.preadv(descriptor, [bytearray(1)], offset + length - 1)


def _bring(descriptor: int, offset: int, length: int) -> None:
    """Read blocks of 2 MiB, so that each can be mapped at once."""
    if not populate(descriptor, offset, length):
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(path)
        yield descriptor
    finally:
        os.close(descriptor)
