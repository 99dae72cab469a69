"""Memory that a restore reads at once and does not map, of a process that uses a GPU.

The driver has put GPU memory into large private mappings, and puts all of it back on the GPU. Page
faults on its way there would make it wait, so these mappings are filled before, by several threads
and in large pages. Their bytes stay where CRIU dumped them, in ``fill.raw``; ``fill.json`` says
which of them go where.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bentofn.packager.snapshot.criu.images import Memory, Vma
from bentofn.packager.snapshot.criu.layout import HUGE
from bentofn.packager.snapshot.criu.movable import can_move, is_anonymous
from bentofn.packager.snapshot.criu.pages import StoredRun, is_zero, within
from bentofn.runtime.weights.plan import Range

TABLE, RAW = "fill.json", "fill.raw"
"""Beside the images: what goes where, and the bytes."""

LEAST = 8 << 20
"""Bytes of a mapping from which on it is filled; smaller ones the driver faults in quickly."""

_PROT_WRITE = 2
_PUNCH = 1 | 2  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE of linux/falloc.h

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def select_filled(memory: Memory, runs: Sequence[StoredRun]) -> list[Vma]:
    """The mappings that are filled: large, and dumped for the most part in large pieces.

    Others would take far more memory in large pages than they hold.

    Args:
        memory: Of the process.
        runs: The dumped pages, sorted by address.
    """
    return [vma for vma in memory.vmas if _can_fill(vma) and _is_dense(vma, runs)]


def _can_fill(vma: Vma) -> bool:
    return is_anonymous(vma) and can_move(vma) and bool(vma.prot & _PROT_WRITE)


def _is_dense(vma: Vma, runs: Sequence[StoredRun]) -> bool:
    lengths, end = [0], vma.start
    for run in within(runs, vma.start, vma.end):
        if run.start > end:
            lengths.append(0)
        lengths[-1] += run.end - run.start
        end = run.end
    return sum(lengths) >= LEAST and 2 * sum(n for n in lengths if n >= HUGE) > sum(lengths)


def ranges_of(vmas: Iterable[Vma], runs: Sequence[StoredRun], content: memoryview) -> list[Range]:
    """What of the dumped pages goes where; blocks of zeros are left out.

    Args:
        vmas: The mappings that are filled, sorted.
        runs: The dumped pages, sorted by address.
        content: Their bytes.

    Returns:
        Ranges of the pages file, each to an address.
    """
    found: list[Range] = []
    for vma in vmas:
        for run in within(runs, vma.start, vma.end):
            for start, end in _blocks(run.start, run.end):
                offset = run.position + start - run.start
                if is_zero(content[offset : offset + end - start]):
                    continue
                last = found[-1] if found else Range(0, 0, 0)
                ends = last.offset + last.length, last.to + last.length
                if ends == (offset, start):
                    found[-1] = last._replace(length=last.length + end - start)
                else:
                    found.append(Range(offset, start, end - start))
    return found


def _blocks(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Addresses cut where large pages begin."""
    while start < end:
        stop = min(end, start // HUGE * HUGE + HUGE)
        yield start, stop
        start = stop


def encode_table(ranges: Sequence[Range]) -> bytes:
    """The content of ``fill.json``."""
    return json.dumps({"ranges": ranges}, separators=(",", ":")).encode()


def keep_only(path: Path, ranges: Iterable[Range]) -> None:
    """Have a file take no more of the disk than its ranges do, where the file system can.

    Raises:
        OSError: It cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY)
    try:
        position, size = 0, os.fstat(descriptor).st_size
        for offset, _, length in [*sorted(ranges), Range(size, 0, 0)]:
            if offset > position:
                _libc.fallocate(descriptor, _PUNCH, position, offset - position)
            position = offset + length
    finally:
        os.close(descriptor)
