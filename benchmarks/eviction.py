"""Takes files out of the page cache, and reads as much in one go to compare with."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

BLOCK = 1 << 20


def evict(files: Iterable[Path]) -> None:
    """Have the kernel forget the pages of files that nobody maps."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def sequential_read(path: Path) -> float:
    """Milliseconds of reading an evicted file from its start to its end."""
    evict([path])
    buffer = bytearray(BLOCK)
    began = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass
    return (time.perf_counter() - began) * 1000


def write_file(path: Path, size: int) -> None:
    """Write a file of so many bytes that no disk can compress."""
    with path.open("wb") as file:
        for _ in range(-(-size // BLOCK)):
            file.write(os.urandom(BLOCK))
        file.truncate(size)
