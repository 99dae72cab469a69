"""Make the images of a dump restore by mapping: the kernel brings pages when they are touched.

A restore by CRIU alone copies every dumped page. Here the pages stand in one sparse file,
``mem.raw``, and the process's private mappings become private mappings of it: nothing is copied
before it is written to, and all copies of a process share what they only read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bentofn.packager.files import sync_directory, sync_file, temporary_directory, writing
from bentofn.packager.snapshot.criu.filled import RAW as FILL
from bentofn.packager.snapshot.criu.filled import (
    TABLE,
    encode_table,
    keep_only,
    ranges_of,
    select_filled,
)
from bentofn.packager.snapshot.criu.images import (
    FileEntry,
    Memory,
    Pagemap,
    PageRun,
    Vma,
    encode_files,
    encode_memory,
    encode_pagemap,
    read_files,
    read_memory,
    read_pagemap,
    read_processes,
    read_version,
)
from bentofn.packager.snapshot.criu.layout import HUGE, Placed, Span, arrange
from bentofn.packager.snapshot.criu.movable import is_file, joined, moved, with_huge_pages
from bentofn.packager.snapshot.criu.open_files import raw_file, renamed
from bentofn.packager.snapshot.criu.pages import (
    PAGE,
    Extent,
    StoredRun,
    mapped,
    stored_runs,
    within,
    write_extents,
)
from bentofn.packager.snapshot.criu.selection import RAW, select
from bentofn.runtime.errors import UserError

_CLOCKS = "timens-*.img"
"""The monotonic clock at the dump. With it a restore makes a time namespace in which no time has
passed; without it the process sees the host's, and sets it on where that is another
(:mod:`bentofn.runtime.renew.clocks`). Only a process of one thread can do that."""

_GRAIN = 64 << 10
"""Bytes around an address that the kernel maps when it is touched, if the page cache has them.
Source: fault_around_bytes of Linux's mm/memory.c"""

SLACK = 1 << 30
"""Bytes of hole behind the last page of ``mem.raw``: a mapping that a process lets grow (mremap,
as realloc does) then finds memory, and not the end of the file. Whoever reads the file through
should pass over the hole (SEEK_DATA)."""


@dataclass(frozen=True)
class Rewritten:
    """What became of a dump.

    Args:
        mapped_bytes: Bytes of dumped pages that are now mapped, or filled.
        copied_bytes: Bytes of dumped pages that each restore still copies.
        mappings_before: Mappings of the process when it was dumped.
        mappings: Mappings of the process that a restore makes.
        note: One sentence if pages were left to be copied for a reason, else empty.
        placed: Where in ``mem.raw`` stands what, by address.
    """

    mapped_bytes: int
    copied_bytes: int
    mappings_before: int
    mappings: int
    note: str = ""
    placed: tuple[Placed, ...] = ()


def rewrite(
    dumped: Path,
    output: Path,
    final: Path,
    wire: Path,
    touched: Sequence[Span] = (),
    *,
    observed: bool = False,
    on_gpu: bool = False,
) -> Rewritten:
    """Write images that restore by mapping.

    Args:
        dumped: Directory of a dump's images; it is only read.
        output: Directory to make; it appears whole or not at all.
        final: The name that ``output`` will have when it is restored from: the images name
            ``mem.raw`` by it.
        wire: The placeholder's path at the dump; its entry is renamed to ``WIRE``.
        touched: Addresses that a restore touches, sorted and apart; what stands there comes first
            in ``mem.raw``.
        observed: Whether these are images to find that out with. What a process maps of a large
            piece of the page cache it maps at once, so the file is written in small ones, and
            nobody waits until it is on the disk.
        on_gpu: Whether the driver has put memory of a GPU into the process's: what is large is
            filled at a restore then (:mod:`bentofn.packager.snapshot.criu.filled`). For it the
            dump's pages become a file of the images; do not rewrite the dump again.

    Raises:
        UserError: An image is damaged or of a format that we do not know, the placeholder is not
            among the open files, or the disk is full.
    """
    read_version(dumped / "inventory.img")
    processes = read_processes(dumped / "pstree.img")
    files = renamed(read_files(dumped / "files.img"), wire)
    with writing(output.parent), temporary_directory(output.parent) as staging:
        if len(processes) == 1:
            how = _How(touched, _GRAIN if observed else HUGE, on_gpu, durable=not observed)
            result = _rewrite_process(dumped, staging, final, processes[0], files, how)
        else:
            several = (
                f"{len(processes)} processes were dumped; only a single process's pages are mapped."
            )
            result = _untouched(dumped, staging, files, several)
        _copy_others(dumped, staging)
        sync_directory(staging)
        staging.rename(output)
    sync_directory(output.parent)
    return result


@dataclass(frozen=True)
class _How:
    """How ``mem.raw`` is written.

    Args:
        touched: Addresses of what comes first.
        grain: Bytes that the page cache keeps in one piece at most.
        on_gpu: As for :func:`rewrite`.
        durable: Whether to wait until the disk has it.
    """

    touched: Sequence[Span]
    grain: int
    on_gpu: bool
    durable: bool


def _rewrite_process(
    dumped: Path, staging: Path, final: Path, pid: int, files: list[FileEntry], how: _How
) -> Rewritten:
    memory = read_memory(dumped / f"mm-{pid}.img")
    pagemap = read_pagemap(dumped / f"pagemap-{pid}.img")
    pages = dumped / f"pages-{pagemap.pages_id}.img"
    with ExitStack() as opened:
        content = opened.enter_context(mapped(pages))
        runs = stored_runs(pagemap, len(content), pages)
        selected = select(memory, pagemap, runs, files)
        filled = select_filled(memory, runs) if how.on_gpu else []
        addresses = {vma.start for vma in filled}
        moving = [vma for vma in selected.moving if vma.start not in addresses]
        sources: dict[Path | None, memoryview] = {
            path: opened.enter_context(mapped(path)) for path in selected.sources.values()
        }
        offsets, end = _places(moving, how.touched)
        raw_id = max(entry.id for entry in files) + 1
        if moving:
            extents = [
                extent
                for vma in moving
                for extent in _extents(
                    vma, offsets[vma.start], runs, content, sources.get(selected.source(vma))
                )
            ]
            extents.sort(key=lambda extent: extent.offset)
            _write_raw(staging / RAW, extents, end + SLACK, how)
            program = {entry.id: entry.reg for entry in files}.get(memory.exe_file_id)
            files = [*files, raw_file(program, raw_id, str(final / RAW), end + SLACK)]
        vmas = _mappings(memory, offsets, raw_id, addresses)
        _check_whole(vmas, files, raw_id)
        left = list(_outside(runs, sorted([*moving, *filled], key=lambda vma: vma.start)))
        _write(staging / "files.img", [encode_files(files)])
        _write(staging / f"mm-{pid}.img", [encode_memory(replace(memory, vmas=tuple(vmas)))])
        _write(
            staging / f"pagemap-{pid}.img",
            [encode_pagemap(replace(pagemap, runs=_page_runs(left, pagemap)))],
        )
        _write(
            staging / pages.name,
            (content[run.position : run.position + run.end - run.start] for run in left),
        )
        ranges = ranges_of(filled, runs, content)
        if filled:
            _write(staging / TABLE, [encode_table(ranges)])
            (staging / FILL).hardlink_to(pages)
        if filled and how.durable:
            keep_only(staging / FILL, ranges)  # of what no restore reads any more
        copied = sum(run.end - run.start for run in left)
        placed = [Placed(vma.start, vma.end, offsets[vma.start]) for vma in moving]
        return Rewritten(
            len(content) - copied, copied, len(memory.vmas), len(vmas), selected.note, tuple(placed)
        )


def _mappings(memory: Memory, offsets: dict[int, int], raw_id: int, filled: set[int]) -> list[Vma]:
    """The mappings that a restore makes; ``offsets`` says by address where those that move are."""
    vmas = [
        moved(vma, raw_id, offsets[vma.start]) if vma.start in offsets else vma
        for vma in memory.vmas
    ]
    return [
        with_huge_pages(vma) if vma.shmid == raw_id or vma.start in filled else vma
        for vma in joined(vmas)
    ]


def _check_whole(vmas: list[Vma], files: list[FileEntry], raw_id: int) -> None:
    """Refuse images that would need the memory of an earlier snapshot, which may be deleted."""
    names = {entry.id: entry.reg.name for entry in files if entry.reg is not None}
    for vma in vmas:
        name = names.get(vma.shmid, "") if is_file(vma) and vma.shmid != raw_id else ""
        if name.endswith(f"/{RAW}"):
            raise UserError(f"The process maps memory of the snapshot {name} that cannot be moved.")


def _untouched(dumped: Path, staging: Path, files: list[FileEntry], note: str) -> Rewritten:
    _write(staging / "files.img", [encode_files(files)])
    copied = 0
    for path in dumped.glob("pages-*.img"):
        copied += path.stat().st_size
        (staging / path.name).hardlink_to(path)  # nothing writes to either
        sync_file(path)
    return Rewritten(0, copied, 0, 0, note)


def _places(moving: list[Vma], touched: Sequence[Span]) -> tuple[dict[int, int], int]:
    """The offset in ``mem.raw`` of each mapping by its address; neighbours stay neighbours."""
    groups: list[list[Vma]] = []
    for vma in moving:
        if groups and groups[-1][-1].end == vma.start:
            groups[-1].append(vma)
        else:
            groups.append([vma])
    offsets, end = arrange([Span(group[0].start, group[-1].end) for group in groups], touched)
    return {
        vma.start: offset + vma.start - group[0].start
        for group, offset in zip(groups, offsets, strict=True)
        for vma in group
    }, end


def _extents(
    vma: Vma, offset: int, runs: list[StoredRun], content: memoryview, source: memoryview | None
) -> Iterator[Extent]:
    """What the pages of a mapping are: dumped ones, and between them the mapped file's."""
    position = vma.start
    for run in within(runs, vma.start, vma.end):
        if source is not None:
            yield from _of_file(vma, offset, source, position, run.start)
        yield Extent(offset + run.start - vma.start, run.end - run.start, content, run.position)
        position = run.end
    if source is not None:
        yield from _of_file(vma, offset, source, position, vma.end)


def _of_file(vma: Vma, offset: int, source: memoryview, start: int, end: int) -> Iterator[Extent]:
    if not vma.prot:
        return  # the loader's gaps between segments: nobody reads them
    begin = vma.pgoff + start - vma.start
    length = min(end - start, len(source) - begin)
    if length > 0:
        yield Extent(offset + start - vma.start, length, source, begin)


def _outside(runs: list[StoredRun], moving: list[Vma]) -> Iterator[StoredRun]:
    """The parts of runs that lie in none of the moved mappings."""
    borders = [0, *(border for vma in moving for border in (vma.start, vma.end)), 1 << 64]
    for start, end in zip(borders[::2], borders[1::2], strict=True):
        yield from within(runs, start, end)


def _page_runs(left: list[StoredRun], pagemap: Pagemap) -> tuple[PageRun, ...]:
    stored = [
        replace(run.run, vaddr=run.start, nr_pages=(run.end - run.start) // PAGE) for run in left
    ]
    absent = [run for run in pagemap.runs if not run.present]
    return tuple(sorted(stored + absent, key=lambda run: run.vaddr))


def _write_raw(path: Path, extents: list[Extent], size: int, how: _How) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        write_extents(descriptor, extents, size, how.grain)
        if how.durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _copy_others(dumped: Path, staging: Path) -> None:
    is_single = len(list(dumped.glob("core-*.img"))) == 1
    for path in sorted(dumped.glob("*.img")):
        left_out = is_single and path.match(_CLOCKS)
        if not left_out and not (staging / path.name).exists():
            _write(staging / path.name, [path.read_bytes()])
