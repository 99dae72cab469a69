"""What the machine can do: the bus (L1), reads of the page cache (L2) and of the disk (L3)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from table import Row

from bentofn.runtime.cuda.context import Stream
from bentofn.runtime.weights.memory import address_of, cpus, private
from bentofn.runtime.weights.sharing import share
from gpu.model import model_file
from gpu.setup import Setup, bring_in, evict

PIECE = 8 << 20
DEPTH = 32


def rows(setup: Setup) -> Iterator[Row]:
    """L1, L2 and L3 in GB/s, which it also leaves in the setup."""
    file = model_file(setup)
    threads = min(12, cpus())
    measured = {
        "L1": [bus(setup) for _ in range(2 if setup.is_fake else 10)],
        "L2": [read(file, os.O_RDONLY, threads, bring_in) for _ in range(setup.rounds)],
        "L3": disk(file),
    }
    cases = {
        "L1": ("pinned memory to device", f"{_gigabytes(bus_size(setup))}, one stream"),
        "L2": ("page cache to pinned memory", f"{threads} threads of preadv"),
        "L3": ("disk to memory, O_DIRECT", f"{DEPTH} reads of 8 MiB under way"),
    }
    for name, values in measured.items():
        row = Row(f"{name}: {cases[name][0]}", cases[name][1], "rate", "GB/s", values)
        setup.limits[name] = row.median
        yield row


def disk(file: Path) -> list[float]:
    """GB/s of the disk, three times or for half a minute."""
    began, found = time.monotonic(), []
    while len(found) < 3 and (not found or time.monotonic() - began < 30):
        found.append(read(file, os.O_RDONLY | os.O_DIRECT, DEPTH, evict))
    return found


def bus_size(setup: Setup) -> int:
    """Bytes of one copy."""
    return 4 << 20 if setup.is_fake else 1 << 30


def bus(setup: Setup) -> float:
    """GB/s of one copy out of pinned memory."""
    size = bus_size(setup)
    memory, offset = private(size)
    address = address_of(memory) + offset
    device = torch.empty(size, dtype=torch.uint8, device=setup.device)
    with setup.context:
        stream = Stream.create(setup.context)
        setup.context.register(address, size)
        try:
            stream.copy_in(device.data_ptr(), address, size)  # the first is slower
            stream.synchronize()
            began = time.perf_counter()
            stream.copy_in(device.data_ptr(), address, size)
            stream.synchronize()
            return size / (time.perf_counter() - began) / 1e9
        finally:
            setup.context.unregister(address)
            stream.destroy()


def read(file: Path, flags: int, threads: int, before: Callable[[Path], None]) -> float:
    """GB/s of reading all of a file into memory that is there already."""
    before(file)
    size = file.stat().st_size // PIECE * PIECE or file.stat().st_size // 4096 * 4096
    memory, offset = private(threads * PIECE)
    view = memoryview(memory)[offset:]
    view[: threads * PIECE : 4096] = bytes(threads * PIECE // 4096)
    slots = list(range(threads))
    descriptor = os.open(file, flags)

    def piece(at: int) -> None:
        slot = slots.pop()
        length = min(PIECE, size - at)
        os.preadv(descriptor, [view[slot * PIECE : slot * PIECE + length]], at)
        slots.append(slot)

    began = time.perf_counter()
    share(piece, range(0, size, PIECE), threads)
    seconds = time.perf_counter() - began
    os.close(descriptor)
    return size / seconds / 1e9


def _gigabytes(size: int) -> str:
    return f"{size >> 30} GiB" if size >> 30 else f"{size >> 20} MiB"
