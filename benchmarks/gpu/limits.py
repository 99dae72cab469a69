"""What the machine can do: the bus (L1), reads of the page cache (L2) and of the disk (L3)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from table import Row

from bentofn.runtime.cuda.context import Stream
from bentofn.runtime.weights.memory import address_of, cpus, private
from bentofn.runtime.weights.sharing import share
from gpu.model import model_file
from gpu.setup import Setup, apart, bring_in, evict

PIECE = 8 << 20
DEPTH = 32


def rows(setup: Setup) -> Iterator[Row]:
    """L1, L2 and L3 in GB/s, which it also leaves in the setup."""
    file = model_file(setup)
    threads = min(12, cpus())

    def cached() -> list[float]:
        return [read(setup, file, os.O_RDONLY, threads, bring_in) for _ in range(setup.rounds)]

    yield from apart(
        limit(
            setup,
            "L1: pinned memory to device",
            f"{_gigabytes(bus_size(setup))}, one stream",
            lambda: bus(setup, 2 if setup.is_fake else 10),
        ),
        limit(setup, "L2: page cache to pinned memory", f"{threads} threads of preadv", cached),
        limit(
            setup,
            "L3: disk to pinned memory, O_DIRECT",
            f"{DEPTH} reads of 8 MiB under way",
            lambda: disk(setup, file),
        ),
    )


def limit(
    setup: Setup, case: str, subject: str, measure: Callable[[], list[float]]
) -> Iterator[Row]:
    """One of them, whose name is the first two letters of the case."""
    row = Row(case, subject, "rate", "GB/s", measure())
    setup.limits[case[:2]] = row.median
    yield row


def disk(setup: Setup, file: Path) -> list[float]:
    """GB/s of the disk, three times or for half a minute."""
    began, found = time.monotonic(), []
    while len(found) < 3 and (not found or time.monotonic() - began < 30):
        found.append(read(setup, file, os.O_RDONLY | os.O_DIRECT, DEPTH, evict))
    return found


def bus_size(setup: Setup) -> int:
    """Bytes of one copy."""
    return 4 << 20 if setup.is_fake else 1 << 30


def bus(setup: Setup, count: int) -> list[float]:
    """GB/s of copies out of pinned memory."""
    size = bus_size(setup)
    device = torch.empty(size, dtype=torch.uint8, device=setup.device)
    setup.synchronize()  # the memory may be in use until then by what torch was asked for before
    found = []
    with pinned(setup, size) as memory, setup.context:
        stream = Stream.create(setup.context)
        for _ in range(count + 1):
            began = time.perf_counter()
            stream.copy_in(device.data_ptr(), memory.address, size)
            stream.synchronize()
            found.append(size / (time.perf_counter() - began) / 1e9)
        stream.destroy()
    return found[1:]  # the first is slower


@dataclass(frozen=True)
class Pinned:
    """Memory that the GPU reads without a copy between.

    Args:
        address: Where it begins.
        view: It.
    """

    address: int
    view: memoryview


@contextmanager
def pinned(setup: Setup, size: int) -> Iterator[Pinned]:
    """Memory of so many bytes, pinned while the block runs."""
    memory, offset = private(size)
    address = address_of(memory) + offset
    with setup.context:
        setup.context.register(address, size)
    try:
        yield Pinned(address, memoryview(memory)[offset : offset + size])
    finally:
        with setup.context:
            setup.context.unregister(address)


def read(
    setup: Setup, file: Path, flags: int, threads: int, before: Callable[[Path], None]
) -> float:
    """GB/s of reading all of a file into pinned memory."""
    before(file)
    size = file.stat().st_size // PIECE * PIECE or file.stat().st_size // 4096 * 4096
    slots = list(range(threads))
    descriptor = os.open(file, flags)
    with pinned(setup, threads * PIECE) as memory:

        def piece(at: int) -> None:
            slot = slots.pop()
            length = min(PIECE, size - at)
            if os.preadv(descriptor, [memory.view[slot * PIECE :][:length]], at) != length:
                raise SystemExit(f"{file} is read in smaller pieces than were asked for.")
            slots.append(slot)

        began = time.perf_counter()
        share(piece, range(0, size, PIECE), threads)
        seconds = time.perf_counter() - began
    os.close(descriptor)
    return size / seconds / 1e9


def _gigabytes(size: int) -> str:
    return f"{size >> 30} GiB" if size >> 30 else f"{size >> 20} MiB"
