"""Tiers B and C: a service with a model on the GPU as a snapshot on disk, by CRIU."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from instances import Lines, call, make_root, started
from table import Row

from bentofn.adapters.local.engines import (
    CriuEngine,
    EngineRefused,
    InstanceSpec,
    Launch,
    Restorer,
    StartFailed,
)
from bentofn.adapters.local.engines.checkpointed.driver import Driver
from bentofn.packager.home import Home
from bentofn.packager.snapshot.criu.binary import CriuUnfit, find_criu
from bentofn.packager.snapshot.obtain import Subject
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.runtime.cuda.library import VARIABLE
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.protocol import GPUS, TAKEN_OUT
from gpu.setup import Setup, bring_in
from gpu.tiers import goal

SERVICE = """
import os

import torch

import bentofn
from bentofn.runtime.cuda.library import Library
from bentofn.runtime.weights.onto import Target, load_onto
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.staging import staging_of


@bentofn.service
class Model:
    def __init__(self) -> None:
        device, file = torch.device(os.environ["DEVICE"]), os.environ["MODEL"]
        if device.type == "cuda":
            torch.cuda.init()
        self.target = Target(device, staging_of(Library.find(), 0))
        self.own = torch.Generator(device).manual_seed(7)
        if os.environ["LOADER"] == "bentofn":
            self.weights = load_onto(self.target, [FileSource(file)])
        else:
            from safetensors.torch import load_file

            self.weights = {name: t.clone() for name, t in load_file(file, str(device)).items()}

    @bentofn.api
    def answer(self) -> list[int]:
        weights = [self.weights[name].view(torch.int16) for name in sorted(self.weights)]
        return [int(each.sum(dtype=torch.int64)) for each in weights]

    @bentofn.api
    def draw(self) -> list[float]:
        device = self.own.device
        drawn = torch.rand(2, device=device), torch.rand(2, device=device, generator=self.own)
        return [number for each in drawn for number in each.tolist()]
"""

PASSED = (VARIABLE, "LD_LIBRARY_PATH")
"""Variables that say where the driver is."""

LOADERS = {"B": "safetensors", "C": "bentofn"}
"""Tier to what loads the weights: what ours loads is dropped, and streamed back."""

TIMEOUT = 300.0
PATIENCE = 45.0
"""Seconds after which nothing is restored once more."""


def on_disk(setup: Setup, file: Path, tier: str) -> Iterator[Row]:
    """Seconds from nothing running to the first correct answer."""
    try:
        find_criu()
    except CriuUnfit as reason:
        print(f"tier {tier}: left out, {reason}", flush=True)
        return
    bring_in(file)
    try:
        yield from asyncio.run(_measure(setup, file, tier))
    except (StartFailed, EngineRefused, UserError) as error:
        print(f"tier {tier}: left out, {error}", flush=True)


async def _measure(setup: Setup, file: Path, tier: str) -> list[Row]:
    own = {"MODEL": str(file), "DEVICE": str(setup.device), "LOADER": LOADERS[tier], GPUS: "0"}
    own |= {name: os.environ[name] for name in PASSED if name in os.environ}
    with TemporaryDirectory(dir=setup.folder) as folder:
        async with _engine(Path(folder), own) as (engine, store):
            began = time.perf_counter()
            await engine.prepare()
            taken = time.perf_counter() - began
            took: list[float] = []
            drawn: list[float] = []
            wanted = _sums(file)
            until = time.monotonic() + PATIENCE
            while len(took) < setup.rounds and (not took or time.monotonic() < until):
                began = time.perf_counter()
                instance = await started(engine, InstanceSpec(f"i{len(took)}"))
                answer = await call(instance, "answer")
                took.append(time.perf_counter() - began)
                if answer != wanted:
                    raise SystemExit(f"tier {tier}: the answer is another one after the restore")
                drawn += await call(instance, "draw")
                if len(set(drawn)) < len(drawn):
                    raise SystemExit(f"tier {tier}: two restores draw the same random numbers")
                await instance.stop(5.0)
            size = sum(each.disk_size for each in store.list())
    figure = goal(setup, tier, setup.size)
    return [
        Row(f"tier {tier}: to first answer", "bentofn", "time", "s", took, figure),
        Row(f"tier {tier}: taken and rehearsed", "bentofn", "time", "s", [taken]),
        Row(f"tier {tier}: on disk", "bentofn", "size", "MB", [size / 1e6]),
    ]


@asynccontextmanager
async def _engine(
    folder: Path, own: Mapping[str, str]
) -> AsyncIterator[tuple[CriuEngine, SnapshotStore]]:
    home = Home(folder / "home")
    root = make_root(folder / "root", SERVICE, "Model")
    _see_all(root)
    env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **own}
    sockets = folder / "s"
    sockets.mkdir(mode=0o700)
    lines, driver = Lines(), Driver()
    launch = Launch(root, Path(sys.executable), env, sockets, lines)
    subject = Subject(
        "model:1", "sha256:0", root, Path(sys.executable), {**launch.environment(), TAKEN_OUT: "1"},
        {}, False, driver.controller,
    )  # fmt: skip
    store = SnapshotStore(home)
    restorer = Restorer(store)
    engine = CriuEngine(launch, subject, restorer, TIMEOUT, driver)
    try:
        yield engine, store
    except (StartFailed, EngineRefused):
        print("\n".join(line for _, _, line in lines.seen[-20:]), flush=True)
        raise
    finally:
        await engine.close()
        await restorer.close()
        await driver.close()


def _see_all(root: Path) -> None:
    """Have the service find what this process finds, on ``PYTHONPATH`` too."""
    environment = BentoRoot(root).environment
    environment.unlink()
    environment.mkdir()
    (environment / "installed.pth").write_text("\n".join(filter(os.path.isdir, sys.path)))


def _sums(file: Path) -> Any:
    import torch
    from safetensors.torch import load_file

    weights = load_file(file)
    words = [weights[name].view(torch.int16) for name in sorted(weights)]
    return [int(each.sum(dtype=torch.int64)) for each in words]
