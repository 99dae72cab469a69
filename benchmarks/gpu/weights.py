"""Weights onto the GPU: ours in each state of the file, peers in the same rounds."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from table import Row

from bentofn.runtime.weights.onto import Target, load_onto
from bentofn.runtime.weights.sources import opened
from bentofn.runtime.weights.staging import Staging, Tuning
from gpu.loaders import Loader, peers
from gpu.model import model_file, tensors
from gpu.setup import Setup, apart, bring_in, evict

VARIANTS = (
    Tuning(threads=4),
    Tuning(threads=8),
    Tuning(threads=16),
    Tuning(slot=4 << 20),
    Tuning(slot=16 << 20),
    Tuning(slots=4),
    Tuning(streams=1),
    Tuning(streams=4),
)
"""What is measured beside the one that is used, to choose it."""


PATIENCE = 90.0
"""Seconds after which nothing is read from the disk once more: at 1 GB/s ours has had its turns."""

PEER_ROUNDS = 3
"""How often a peer is measured at most: ours takes more turns."""


def rows(setup: Setup) -> Iterator[Row]:
    """Rates in GB/s and shares of the limits; every result is compared bit for bit."""
    reference = {name: t.to(setup.device) for name, t in tensors(setup.size).items()}
    staging = Staging(setup.context)
    loaders: dict[str, Loader] = {"bentofn": loader(staging), **peers(setup.device)}
    yield from apart(
        _first(setup, loaders["bentofn"], reference),
        _state(setup, "resident", loaders, reference, ("L1", "L2")),
        _state(setup, "evicted", loaders, reference, ("L3",)),
        _variants(setup),
    )
    staging.close()


def _first(setup: Setup, load: Loader, reference: dict[str, torch.Tensor]) -> Iterator[Row]:
    """A ring that is not there yet."""
    file = model_file(setup)
    bring_in(file)
    first, found = setup.timed(lambda: load(file, setup.device))
    compare(found, reference, "bentofn")
    yield Row("resident, first of a process", "bentofn", "rate", "GB/s", [_rate(file, first)])


def _variants(setup: Setup) -> Iterator[Row]:
    file = model_file(setup)
    bring_in(file)
    for tuning in VARIANTS:
        staging = Staging(setup.context, tuning)
        load = loader(staging)
        load(file, setup.device)
        seconds = [setup.timed(lambda: load(file, setup.device))[0] for _ in range(3)]  # noqa: B023
        staging.close()
        yield Row("resident, " + _named(tuning), "bentofn", "rate", "GB/s", rates(file, seconds))


def loader(staging: Staging) -> Loader:
    """Ours."""

    def load(file: Path, device: torch.device) -> dict[str, torch.Tensor]:
        with opened(file) as source:
            return load_onto(Target(device, staging), [source])

    return load


def _state(
    setup: Setup,
    state: str,
    loaders: dict[str, Loader],
    reference: dict[str, torch.Tensor],
    limits: tuple[str, ...],
) -> Iterator[Row]:
    """One state of the file: loaders take turns."""
    file = model_file(setup)
    prepare = bring_in if state == "resident" else evict
    left = dict(loaders)  # those that run here
    samples: dict[str, list[float]] = {name: [] for name in loaders}
    began = time.monotonic()
    try:
        for turn in range(setup.rounds):
            for name, load in list(left.items()):
                late = time.monotonic() - began > PATIENCE and samples["bentofn"]
                if state == "evicted" and (late or turn >= (3 if name == "bentofn" else 1)):
                    continue  # a disk is slow, and a minute is long
                if name != "bentofn" and turn >= PEER_ROUNDS:
                    continue
                gc.collect()  # what still maps the file would keep it in the page cache
                prepare(file)
                try:
                    seconds, found = setup.timed(lambda: load(file, setup.device))  # noqa: B023
                    compare(found, reference, name)
                    del found
                except (Exception, SystemExit) as error:  # a peer that does not run here is said to
                    if name == "bentofn":
                        samples[name].clear()  # what gives other bytes once has no figure
                        raise
                    print(f"{name} failed: {type(error).__name__}: {error}"[:300], flush=True)
                    del left[name]
                    continue
                samples[name].append(seconds)
    finally:  # where there is no time for the rest, or it fails, what was measured is shown
        if samples["bentofn"]:
            yield from _shown(setup, state, samples, limits)


def _shown(
    setup: Setup, state: str, samples: dict[str, list[float]], limits: tuple[str, ...]
) -> Iterator[Row]:
    """The rates of all, and ours beside the limits that were measured and the fastest peer."""
    file = model_file(setup)
    for name, seconds in samples.items():
        if seconds:
            yield Row(state, name, "rate", "GB/s", rates(file, seconds))
    ours = samples["bentofn"]
    if all(name in setup.limits for name in limits):
        limit = min(setup.limits[name] for name in limits)
        called = f"min({', '.join(limits)})" if len(limits) > 1 else limits[0]
        share = [rate / limit for rate in rates(file, ours)]
        goal = ">= 0.85" if state == "resident" else ">= 0.92"
        yield Row(f"{state}: share of {called}", "bentofn", "share", "", share, goal=goal)
    others = [min(seconds) for name, seconds in samples.items() if seconds and name != "bentofn"]
    if state == "resident" and others:
        faster = [min(others) / seconds for seconds in ours]
        yield Row("resident: against the fastest peer", "bentofn", "times", "x", faster, ">= 1.0")


def compare(found: dict[str, torch.Tensor], reference: dict[str, torch.Tensor], name: str) -> None:
    """Compare on the device, bit for bit."""
    wrong = [
        key
        for key, tensor in reference.items()
        if key not in found
        or not torch.equal(found[key].view(torch.int16), tensor.view(torch.int16))
    ]
    if wrong or len(found) != len(reference):
        raise SystemExit(f"{name} gave other bytes: {wrong[:3]}")


def _rate(file: Path, seconds: float) -> float:
    return file.stat().st_size / seconds / 1e9


def rates(file: Path, seconds: list[float]) -> list[float]:
    """GB/s."""
    return [_rate(file, each) for each in seconds]


def _named(tuning: Tuning) -> str:
    usual = Tuning()
    changed = {name: value for name, value in vars(tuning).items() if value != getattr(usual, name)}
    return ", ".join(
        f"{name} {value >> 20} MiB" if name == "slot" else f"{name} {value}"
        for name, value in changed.items()
    )
