"""The hot set of a snapshot: what a restore and the first answer touch, and where it stands."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from mmap import PAGESIZE
from pathlib import Path

from bentofn.packager.files import atomic_write
from bentofn.packager.snapshot.criu.layout import Placed

HOT = "hot.json"
"""Name of the hot set, in the snapshot's directory."""

_FORMAT = 2

_TOUCHED = re.compile(rb"[\x40-\xff]+")
"""Runs of pages that are present or swapped out: bits 63 and 62 of an entry of pagemap, seen in
its last byte. Source: https://docs.kernel.org/admin-guide/mm/pagemap.html"""

_GAP = 64 << 10
"""Bytes between two ranges that cost less to read than to leave out."""


@dataclass(frozen=True)
class HotFile:
    """A file of which parts are hot; ``ranges`` are (offset, length) in bytes, sorted and apart."""

    path: Path
    ranges: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class HotSet:
    """The hot parts of a snapshot's images and of the files that its process maps.

    Args:
        files: In the order in which a start needs them. A file of which parts are needed sooner
            and parts later is there several times; no part is in two.
    """

    files: tuple[HotFile, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(length for file in self.files for _, length in file.ranges)


@dataclass(frozen=True)
class Touched:
    """Pages of a mapped file that a process has touched.

    Args:
        address: Where the first stands in the process.
        length: Bytes.
        path: The file.
        offset: Where the first stands in the file; bytes.
    """

    address: int
    length: int
    path: Path
    offset: int


def touched_by(pid: int) -> tuple[Touched, ...]:
    """What a restored process has touched so far of the files that it maps, by address.

    The pages that the process has in its page table are what it touched, and up to 64 KiB around
    each, which the kernel maps with it; where it maps 2 MiB at once, these. Nothing is evicted or
    written for it.

    Args:
        pid: The process, as this process sees it.

    Raises:
        OSError: The process has ended, or its page table may not be read.
    """
    found = []
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        for start, end, offset, path in _file_mappings(pid):
            pagemap.seek(start // PAGESIZE * 8)
            entries = pagemap.read((end - start) // PAGESIZE * 8)
            for run in _TOUCHED.finditer(entries[7::8]):
                first, last = run.start() * PAGESIZE, run.end() * PAGESIZE
                found.append(Touched(start + first, last - first, path, offset + first))
    return tuple(found)


def moved(
    touched: Iterable[Touched], path: Path, placed: Sequence[Placed], target: Path
) -> list[Touched]:
    """What was touched of a file whose content stands elsewhere now.

    Args:
        touched: What was touched, of any files.
        path: The file.
        placed: Where what stands now, by address, sorted.
        target: The file in which it stands now.
    """
    result = []
    for each in touched:
        if each.path != path:
            result.append(each)
            continue
        for place in placed:
            start = max(each.address, place.start)
            end = min(each.address + each.length, place.end)
            if start < end:
                result.append(
                    Touched(start, end - start, target, place.offset + start - place.start)
                )
    return result


def hot_set(stages: Iterable[Iterable[Touched]], snapshot: Path) -> HotSet:
    """The hot set of a snapshot of whose process something was touched.

    Args:
        stages: What, at some moments up to the first answer; each holds what the earlier ones do.
        snapshot: The snapshot's directory; its images, all of which a restore reads, are in
            ``images`` below it.
    """
    files = []
    for image in sorted((snapshot / "images").glob("*.img")):
        if size := image.stat().st_size:
            files.append(HotFile(image, ((0, size),)))
    known: dict[Path, list[tuple[int, int]]] = {}
    for touched in stages:
        ranges: dict[Path, list[tuple[int, int]]] = {}
        for each in touched:
            ranges.setdefault(each.path, []).append((each.offset, each.length))
        for path, found in ranges.items():
            before = known.get(path, [])
            new = [part for each in _joined(found, _GAP) for part in _outside(each, before)]
            known[path] = sorted(before + new)
            if new:
                files.append(HotFile(path, tuple(new)))
    return HotSet(tuple(files))


def save_hot_set(hot: HotSet, snapshot: Path) -> None:
    """Write a hot set beside a snapshot's images.

    Raises:
        UserError: The disk is full, or the directory cannot be written.
    """
    files = [[_name(file.path, snapshot), file.ranges] for file in hot.files]
    content = json.dumps({"format": _FORMAT, "files": files}, separators=(",", ":"))
    atomic_write(snapshot / HOT, content.encode(), 0o600)


def load_hot_set(snapshot: Path) -> HotSet | None:
    """The hot set of a snapshot, or None if there is none that can be read.

    It only says what to read ahead: a wrong one costs time, and nothing else.
    """
    try:
        document = json.loads((snapshot / HOT).read_bytes())
        if document["format"] != _FORMAT:
            return None
        return HotSet(
            tuple(
                HotFile(
                    snapshot / name,
                    tuple(_joined((int(offset), int(length)) for offset, length in ranges)),
                )
                for name, ranges in document["files"]
            )
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _name(path: Path, snapshot: Path) -> str:
    return str(path.relative_to(snapshot) if path.is_relative_to(snapshot) else path)


def _file_mappings(pid: int) -> Iterator[tuple[int, int, int, Path]]:
    """Start, end, offset in bytes and path of the mappings of files."""
    for line in Path(f"/proc/{pid}/maps").read_bytes().splitlines():
        columns = line.split(maxsplit=5)
        if len(columns) == 6 and columns[5].startswith(b"/") and columns[4] != b"0":
            path = Path(os.fsdecode(columns[5].replace(rb"\012", b"\n")))
            start, end = (int(address, 16) for address in columns[0].split(b"-"))
            if path.is_file():
                yield start, end, int(columns[2], 16), path


def _outside(
    wanted: tuple[int, int], known: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """The parts of a range that are in none of some others, which are sorted and apart."""
    position, end = wanted[0], wanted[0] + wanted[1]
    for offset, length in known:
        if position < offset < end:
            yield position, offset - position
        if offset < end:
            position = max(position, offset + length)
    if position < end:
        yield position, end - position


def _joined(ranges: Iterable[tuple[int, int]], gap: int = 0) -> Iterator[tuple[int, int]]:
    """The ranges sorted, those made one that overlap or have at most so many bytes between them."""
    first, last = -1, -1
    for offset, length in sorted(ranges):
        if length <= 0 or offset < 0:
            continue
        if first >= 0 and offset <= last + gap:
            last = max(last, offset + length)
            continue
        if first >= 0:
            yield first, last - first
        first, last = offset, offset + length
    if first >= 0:
        yield first, last - first
