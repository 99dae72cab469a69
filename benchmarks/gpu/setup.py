"""What all parts of the measurement share: the GPU, a folder, how large and how often."""

from __future__ import annotations

import ctypes
import os
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from mmap import MAP_PRIVATE, PAGESIZE, PROT_READ, PROT_WRITE, mmap
from pathlib import Path
from typing import Any

import torch
from table import Row

from bentofn.runtime.cuda.context import Context


@dataclass
class Setup:
    """One run.

    Args:
        context: The GPU's, or the stand-in's.
        device: Where torch puts tensors: the GPU, or the CPU beside the stand-in.
        folder: For files; on a disk, not in memory.
        size: Bytes of the model.
        rounds: How often each thing is measured.
        is_fake: Whether the driver is the stand-in: what comes out is no figure then.
        limits: GB/s of L1, L2 and L3, as they are measured.
    """

    context: Context
    device: torch.device
    folder: Path
    size: int
    rounds: int
    is_fake: bool
    limits: dict[str, float] = field(default_factory=dict)

    def synchronize(self) -> None:
        """Wait for the GPU."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def timed(self, work: Callable[[], Any]) -> tuple[float, Any]:
        """Seconds that something takes until the GPU has done it too, and what it gave."""
        self.synchronize()
        began = time.perf_counter()
        result = work()
        self.synchronize()
        return time.perf_counter() - began, result


def apart(*parts: Iterator[Row]) -> Iterator[Row]:
    """The rows of all parts: where one fails the others are measured still, and then it is told.

    Raises:
        SystemExit: One or more failed.
    """
    failures = []
    for part in parts:
        try:
            yield from part
        except (Exception, SystemExit):
            failures.append(traceback.format_exc())
    if failures:
        raise SystemExit("\n".join(failures))


def evict(path: Path) -> None:
    """Have the page cache drop a file, and make sure that it did."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for _ in range(20):
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            left = cached_share(path)
            if left < 0.001:
                return
            time.sleep(0.1)
    finally:
        os.close(descriptor)
    raise SystemExit(f"The page cache keeps {left:.0%} of {path}: nothing evicted is measured.")


def bring_in(path: Path) -> None:
    """Have the page cache hold a file."""
    buffer = bytearray(16 << 20)
    for _ in range(3):  # a machine that is short of memory drops what it has just read
        if cached_share(path) > 0.999:
            return
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    held = cached_share(path)
    if held < 0.999:
        raise SystemExit(f"The page cache holds {held:.0%} of {path} only: nothing is resident.")


def cached_share(path: Path) -> float:
    """How much of a file the page cache holds, from 0 to 1, by mincore(2)."""
    size = path.stat().st_size
    pages = -(-size // PAGESIZE)
    resident = (ctypes.c_ubyte * pages)()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    with path.open("rb") as file:
        memory = mmap(file.fileno(), size, flags=MAP_PRIVATE, prot=PROT_READ | PROT_WRITE)
    first = ctypes.c_char.from_buffer(memory)
    failed = libc.mincore(ctypes.addressof(first), size, resident)
    del first
    if failed:
        raise OSError(ctypes.get_errno(), "mincore")
    return sum(bytes(resident)) / pages
