"""The pages of a dump: where each stands, and what a file of them is written from."""

from __future__ import annotations

import mmap
import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.snapshot.criu.images import Pagemap, PageRun
from bentofn.packager.snapshot.criu.layout import HUGE
from bentofn.runtime.errors import UserError

PAGE = mmap.PAGESIZE

_ZEROS = bytes(HUGE)


@dataclass(frozen=True)
class Extent:
    """Bytes that go into a file: ``length`` of ``source`` from ``begin`` on, to ``offset``."""

    offset: int
    length: int
    source: memoryview
    begin: int


@dataclass(frozen=True)
class StoredRun:
    """Pages of a dump from address ``start`` to ``end``, at ``position`` in the pages file."""

    start: int
    end: int
    position: int
    run: PageRun


def stored_runs(pagemap: Pagemap, size: int, path: Path) -> list[StoredRun]:
    """Find where the pages of a dump stand.

    Args:
        pagemap: The list of pages.
        size: Bytes of the pages file ``path``.

    Raises:
        UserError: The file is shorter or longer than its list says, or pages of another dump are
            needed.
    """
    runs = []
    position = 0
    for run in pagemap.runs:
        if run.in_parent or (run.flags or 0) & 1:
            raise UserError(
                f"{path} needs the pages of an earlier dump; dump without a parent directory."
            )
        if run.present:
            length = run.count * PAGE
            runs.append(StoredRun(run.vaddr, run.vaddr + length, position, run))
            position += length
    if position != size:
        raise UserError(
            f"{path} is {size} bytes long and its list of pages says {position}: it was cut or "
            "changed; take the snapshot again."
        )
    return runs


def within(runs: Sequence[StoredRun], start: int, end: int) -> Iterator[StoredRun]:
    """The parts of sorted runs that lie between two addresses."""
    index = max(0, bisect_right(runs, start, key=lambda run: run.start) - 1)
    for run in runs[index:]:
        if run.start >= end:
            return
        first, last = max(run.start, start), min(run.end, end)
        if first < last:
            yield StoredRun(first, last, run.position + first - run.start, run.run)


@contextmanager
def mapped(path: Path) -> Iterator[memoryview]:
    """A file's bytes, read as they are needed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not os.fstat(descriptor).st_size:
            yield memoryview(b"")
            return
        content = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
    finally:
        os.close(descriptor)
    # Not closed: views of it may still be held while an error passes by; it goes with the last.
    yield memoryview(content)


def write_extents(descriptor: int, extents: Sequence[Extent], size: int, grain: int = HUGE) -> None:
    """Write a file of ``size`` bytes that holds extents, and holes where there are none.

    A block of 2 MiB that is at least half full is written at once and whole: the page cache then
    keeps it in one piece (a large folio), which the kernel maps at once. One of zeros is a hole.

    Args:
        descriptor: The file, empty.
        extents: Sorted by offset, none over another.
        grain: Bytes that the page cache keeps in one piece at most.
    """
    os.ftruncate(descriptor, size)
    for block, parts in _blocks(extents):
        if all(is_zero(_bytes(part)) for part in parts):
            continue
        if sum(part.length for part in parts) * 2 >= HUGE:
            buffer = bytearray(HUGE)
            for part in parts:
                at = part.offset - block
                buffer[at : at + part.length] = _bytes(part)
            _write(descriptor, memoryview(buffer), block, grain)
        else:
            for part in parts:
                _write(descriptor, _bytes(part), part.offset, grain)
    os.ftruncate(descriptor, size)


def _blocks(extents: Sequence[Extent]) -> Iterator[tuple[int, list[Extent]]]:
    block, parts = 0, list[Extent]()
    for extent in extents:
        offset, end = extent.offset, extent.offset + extent.length
        while offset < end:
            if offset // HUGE * HUGE != block:
                if parts:
                    yield block, parts
                block, parts = offset // HUGE * HUGE, []
            stop = min(end, block + HUGE)
            begin = extent.begin + offset - extent.offset
            parts.append(Extent(offset, stop - offset, extent.source, begin))
            offset = stop
    if parts:
        yield block, parts


def is_zero(data: memoryview) -> bool:
    """Whether bytes are zeros, 2 MiB of them at most."""
    # Bytes are compared at once, views byte by byte.
    return (
        bytes(data[:PAGE]) == _ZEROS[: min(PAGE, len(data))] and bytes(data) == _ZEROS[: len(data)]
    )


def _bytes(part: Extent) -> memoryview:
    return part.source[part.begin : part.begin + part.length]


def _write(descriptor: int, data: memoryview, offset: int, grain: int) -> None:
    while data:
        written = os.pwrite(descriptor, data[: grain - offset % grain], offset)
        data, offset = data[written:], offset + written
