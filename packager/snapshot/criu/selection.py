"""Which mappings of a dumped process move into a file, and which stay as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bentofn.packager.snapshot.criu.images import (
    RUN_LAZY,
    RUN_PRESENT,
    FileEntry,
    Memory,
    Pagemap,
    RegularFile,
    Vma,
)
from bentofn.packager.snapshot.criu.movable import HEAP, can_move, is_anonymous, is_file
from bentofn.packager.snapshot.criu.pages import PAGE, StoredRun, mapped, within
from bentofn.packager.snapshot.page_cache import cached_runs

SMALL_FILE = 1 << 20
"""A file of which at most these bytes are mapped moves whole: a process has dozens of them, and
opening and checking each costs a restore more than a second copy of it costs the page cache. The
large libraries' code stays shared with every other process."""

RAW = "mem.raw"
"""Name of the file of pages of a snapshot, beside the images."""

_ASSUMES_ZEROS = re.compile(b"MALLOC_CONF")
"""What jemalloc reads its settings from, under whatever prefix it was built into a library."""

_PROT_WRITE, _PROT_EXEC = 2, 4


@dataclass(frozen=True)
class Selection:
    """The mappings that move.

    Args:
        moving: They, in the order of their addresses.
        sources: The file that the pages which were not dumped come from, by address.
        note: One sentence if memory stays for a reason that a user can change, else empty.
    """

    moving: list[Vma] = field(default_factory=list)
    sources: dict[int, Path] = field(default_factory=dict)
    note: str = ""

    def source(self, vma: Vma) -> Path | None:
        """The file behind a mapping that moves."""
        return self.sources.get(vma.start)


def select(
    memory: Memory, pagemap: Pagemap, runs: Sequence[StoredRun], files: Sequence[FileEntry]
) -> Selection:
    """Select the mappings that behave the same when they map a file that holds their pages.

    Memory that its allocator gives back with MADV_DONTNEED reads as zeros afterwards, and as the
    snapshot's content if it maps a file. glibc counts on neither; jemalloc counts on zeros, and so
    a process that holds one keeps its anonymous memory.

    Args:
        runs: The dumped pages, sorted by address.
    """
    names = {entry.id: entry.reg for entry in files if entry.reg is not None}
    jemalloc = _holder_of_jemalloc(memory, names)
    whole = _small_files(memory) | {file for file, reg in names.items() if _is_memory(reg)}
    special = [
        (run.vaddr, run.vaddr + run.count * PAGE)
        for run in pagemap.runs
        if (run.flags or 0) & ~(RUN_PRESENT | RUN_LAZY)
    ]
    selection = Selection(note=_note(jemalloc))
    for vma in memory.vmas:
        dumped = next(iter(within(runs, vma.start, vma.end)), None) is not None
        if not can_move(vma) or not (dumped or (is_file(vma) and vma.shmid in whole)):
            continue
        if any(start < vma.end and vma.start < end for start, end in special):
            continue
        if is_anonymous(vma):
            if jemalloc and not vma.status & HEAP:
                continue
        elif (file := names.get(vma.shmid)) is None or not _is_same(file):
            continue
        else:
            selection.sources[vma.start] = Path(file.name)
        selection.moving.append(vma)
    return selection


def _is_memory(file: RegularFile) -> bool:
    """Whether a mapped file is that of an earlier snapshot, which this one must not need."""
    return Path(file.name).name == RAW


def _small_files(memory: Memory) -> set[int]:
    mapped_bytes: dict[int, int] = {}
    for vma in memory.vmas:
        if is_file(vma) and vma.prot:
            mapped_bytes[vma.shmid] = mapped_bytes.get(vma.shmid, 0) + vma.end - vma.start
    return {file for file, size in mapped_bytes.items() if size <= SMALL_FILE}


def _holder_of_jemalloc(memory: Memory, names: dict[int, RegularFile]) -> Path | None:
    """The first mapped file that has a jemalloc among its code and constants."""
    programs = {vma.shmid for vma in memory.vmas if is_file(vma) and vma.prot & _PROT_EXEC}
    for vma in memory.vmas:
        constant = is_file(vma) and vma.prot and not vma.prot & _PROT_WRITE
        file = names.get(vma.shmid)
        if constant and vma.shmid in programs and file is not None and _is_same(file):
            path = Path(file.name)
            if _assumes_zeros(path, vma.pgoff, vma.end - vma.start):
                return path
    return None


def _assumes_zeros(path: Path, offset: int, length: int) -> bool:
    # What the process has read is in the page cache; the rest may be far away (a lazy bento's).
    with mapped(path) as content, path.open("rb") as file:
        return any(
            _ASSUMES_ZEROS.search(content, start, end)
            for start, end in cached_runs(file.fileno(), offset, length)
        )


def _note(jemalloc: Path | None) -> str:
    if jemalloc is None:
        return ""
    return (
        f"Anonymous memory is copied at each restore, because {jemalloc} allocates with jemalloc, "
        "which counts on fresh zeros; import it after the snapshot point to restore faster."
    )


def _is_same(file: RegularFile) -> bool:
    """Whether a mapped file still stands where it was mapped from."""
    path = Path(file.name)
    return path.is_file() and path.stat().st_size == file.size
