"""400 MB of weights from the page cache to tensors on the CPU: ours and others', in turn.

Linux keeps a file in pages of 4 KiB or in blocks of up to 2 MiB, by how it came into memory, and
whoever maps the file waits for each of them. So there are three states: as a program that wrote the
file leaves it, as each loader's own first load from the disk leaves it, and in single pages.
"""

from __future__ import annotations

import gc
import mmap
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from gpu.loaders import DISTRIBUTIONS, peers
from gpu.setup import bring_in, evict
from safetensors.torch import save_file
from table import Row, Table, arguments, ratios

from bentofn.runtime.weights.loading import load_file

SIZE = 400 << 20
CPU = torch.device("cpu")
Load = Callable[[Path], dict[str, torch.Tensor]]


def main() -> None:
    """Measure and write the table."""
    options = arguments(__doc__)
    table = Table("weights", ("torch", *DISTRIBUTIONS))
    loaders: dict[str, Load] = {"bentofn": load_file}
    for name, load in peers(CPU).items():
        loaders[name] = lambda file, load=load: load(file, CPU)
    loaders["bentofn, backend=pread"] = lambda file: load_file(file, backend="pread")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        file = Path(folder, "model.safetensors")
        for state, prepare in {
            "as it was written": written,
            "after the loader's own first load": own_first_load,
            "in single pages": single_pages,
        }.items():
            # Those that copy do not depend on it, and each state takes time to make.
            some = loaders if prepare is written else dict(list(loaders.items())[:2])
            measure(table, state, file, prepare, some, 3 if options.quick else 9)
        tiny(table, Path(folder, "tiny.safetensors"), loaders, 3 if options.quick else 9)
    table.write(options.json)


def written(file: Path, load: Load) -> None:
    """Once: the file stays as it is."""
    if not file.exists():
        torch.manual_seed(0)
        weights = {f"layers.{i}.weight": torch.randn(1024, 4096) for i in range(SIZE >> 24)}
        save_file(weights, file)
    bring_in(file)


def own_first_load(file: Path, load: Load) -> None:
    """What the loader reads from the disk by itself."""
    evict(file)
    touch(load(file))


def single_pages(file: Path, load: Load) -> None:
    """Page faults, as those of a program that maps the file, without asking for large pages."""
    evict(file)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as memory:
        memory.madvise(mmap.MADV_RANDOM)
        bytes(memory[:: mmap.PAGESIZE])
    bring_in(file)


def touch(tensors: dict[str, torch.Tensor]) -> int:
    """Read a byte of each page."""
    return sum(
        int(tensor.view(-1).view(torch.uint8)[:: mmap.PAGESIZE].sum())
        for tensor in tensors.values()
    )


def measure(
    table: Table,
    state: str,
    file: Path,
    prepare: Callable[[Path, Load], None],
    loaders: dict[str, Load],
    rounds: int,
) -> None:
    """One state of the page cache; loaders take turns, and all must read the same."""
    loads: dict[str, list[float]] = {name: [] for name in loaders}
    touched: dict[str, list[float]] = {name: [] for name in loaders}
    sums = set()
    order = list(loaders.items())
    for turn in range(rounds):
        order.append(order.pop(0))  # what one leaves in the processor's caches, another finds
        for name, load in order:
            if prepare is own_first_load or not turn:
                prepare(file, load)
            gc.collect()
            began = time.perf_counter()
            tensors = load(file)
            loads[name].append((time.perf_counter() - began) * 1000)
            sums.add(touch(tensors))
            touched[name].append((time.perf_counter() - began) * 1000)
            del tensors
    if len(sums) != 1:
        raise SystemExit(f"The loaders read different bytes: {sums}")
    case = f"400 MB, {state}"
    for name in loaders:
        table.add(Row(case, name, "load", "ms", loads[name]))
        table.add(Row(case, name, "load and touch", "ms", touched[name]))
    theirs = touched["safetensors"]
    sooner = ratios(theirs, loads["bentofn"])
    table.add(Row(f"{case}: load, against load_file and touch", "bentofn", "times", "x", sooner))
    goal = ">= 3.0" if prepare is own_first_load else ">= 1.0"
    times = ratios(theirs, touched["bentofn"])
    table.add(
        Row(f"{case}: both, against load_file and touch", "bentofn", "times", "x", times, goal)
    )


def tiny(table: Table, file: Path, loaders: dict[str, Load], rounds: int) -> None:
    """10,000 tensors of 64 bytes: what a loader does for each."""
    save_file(
        {f"model.layers.{i}.weight": torch.full((4, 4), float(i)) for i in range(10_000)}, file
    )
    samples: dict[str, list[float]] = {name: [] for name in loaders}
    for _ in range(rounds):
        for name, load in loaders.items():
            began = time.perf_counter()
            load(file)
            samples[name].append((time.perf_counter() - began) * 1000)
    for name, values in samples.items():
        table.add(Row("10,000 tensors of 64 bytes", name, "load", "ms", values))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
