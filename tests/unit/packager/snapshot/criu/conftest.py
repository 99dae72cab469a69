"""A dump as CRIU writes it, small and made up."""

from __future__ import annotations

import struct
from mmap import PAGESIZE as PAGE
from pathlib import Path
from types import SimpleNamespace

import pytest

from bentofn.packager.snapshot.criu.images import (
    COMMON,
    INVENTORY,
    PROCESSES,
    FileEntry,
    Memory,
    Pagemap,
    PageRun,
    RegularFile,
    Vma,
    encode_files,
    encode_memory,
    encode_pagemap,
)

ANONYMOUS, FILE = 0x201, 0x41
BASE = 0x7F0000000000


def page(seed: int) -> bytes:
    return struct.pack("<Q", seed + 1) * (PAGE // 8)


def anonymous(start: int, pages: int, **other: int) -> Vma:
    given = {"prot": 3, "flags": 0x22, "status": ANONYMOUS, "pgoff": 0, "shmid": 0} | other
    return Vma(start=start, end=start + pages * PAGE, fd=-1, **given)


def of_file(start: int, pages: int, file_id: int, pgoff: int = 0, prot: int = 1) -> Vma:
    end = start + pages * PAGE
    return Vma(start, end, pgoff, file_id, prot, flags=2, status=FILE, fd=-1, fdflags=0)


def write_dump(
    directory: Path,
    vmas: list[Vma],
    dumped: list[tuple[int, int]],
    files: dict[int, Path],
    pids: tuple[int, ...] = (1,),
) -> Path:
    """Write a dump of one process whose pages hold their own number.

    Args:
        dumped: (address, count) of the runs of dumped pages.
        files: The files by id; 1 is the program, 2 the wire.
    """
    directory.mkdir()
    entries = [
        FileEntry(1, n, RegularFile(n, 0, 0, str(path), b"\x08\x00", size=path.stat().st_size))
        for n, path in files.items()
    ]
    runs = tuple(PageRun(at, flags=4, nr_pages=count) for at, count in dumped)
    pages = [at // PAGE + i for at, count in dumped for i in range(count)]
    (directory / "inventory.img").write_bytes(struct.pack("<II", INVENTORY, 2) + bytes([0x08, 2]))
    tree = b"".join(struct.pack("<I", 2) + bytes([0x08, pid]) for pid in pids)
    (directory / "pstree.img").write_bytes(struct.pack("<II", COMMON, PROCESSES) + tree)
    (directory / "files.img").write_bytes(encode_files(entries))
    for pid in pids:
        memory = Memory(tuple(vmas), exe_file_id=1)
        (directory / f"mm-{pid}.img").write_bytes(encode_memory(memory))
        (directory / f"pagemap-{pid}.img").write_bytes(encode_pagemap(Pagemap(pid, runs)))
        (directory / f"pages-{pid}.img").write_bytes(b"".join(map(page, pages)))
        (directory / f"core-{pid}.img").write_bytes(b"core")
    (directory / "timens-0.img").write_bytes(b"the clock at the dump")
    (directory / "dump.log").write_text("not an image")
    return directory


@pytest.fixture
def dumps() -> SimpleNamespace:
    """What makes a dump: ``page``, ``anonymous``, ``of_file`` and ``write_dump``."""
    return SimpleNamespace(
        page=page, anonymous=anonymous, of_file=of_file, write_dump=write_dump, base=BASE
    )
