"""A model that gives up the GPU and comes back: to host memory, to disk, without its weights.

A process of its own has the model (``tiers_worker.py``), and bentofn's controller takes its memory
off the GPU, as the local platform does at a scale to zero. To disk takes CRIU; where there is none
those rows are left out by name.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from table import Row

from bentofn.runtime.cuda.controller import Controller
from gpu.model import model_file
from gpu.setup import Setup, apart, bring_in

ALLOWED = {"A": 0.5, "B": 2.0, "C": 2.0}
"""Seconds beside the time that the bytes take over the bus, by tier."""


def rows(setup: Setup) -> Iterator[Row]:
    """Seconds of each stage, and from checkpointed out to the first correct answer."""
    file = model_file(setup)
    bring_in(file)
    parts = [in_memory(setup, file)]
    try:
        from gpu.tiers_disk import LOADERS, on_disk
    except ImportError as error:
        print(f"tiers B and C: left out, {error}", flush=True)
    else:
        parts += [on_disk(setup, file, tier) for tier in LOADERS]
    yield from apart(*parts)


def goal(setup: Setup, tier: str, size: int) -> str | None:
    """The figure that is to be reached; None on the stand-in."""
    bus = setup.limits.get("L1")
    return None if setup.is_fake or not bus else f"<= {ALLOWED[tier] + size / bus / 1e9:.3f}"


def in_memory(setup: Setup, file: Path) -> Iterator[Row]:
    """Tier A: out of the GPU into host memory and back, by a controller that stays."""
    stages: dict[str, list[float]] = {
        name: [] for name in ("take out", "put back", "first answer", "put back and answer")
    }
    left: list[float] = []
    with controller() as resident:
        resident.version()  # what it needs of the GPU itself is not the worker's
        free, _ = setup.context.free_memory()
        with worker(setup, file) as model:
            loaded = [model.started]
            wanted = model.ask("answer")
            for _ in range(setup.rounds):
                model.ask("settle")
                stages["take out"].append(timed(lambda: resident.take_out(model.pid)))
                left.append((free - setup.context.free_memory()[0]) / 1e6)
                back = timed(lambda: resident.put_back(model.pid))
                began = time.perf_counter()
                answer = model.ask("answer")
                answered = time.perf_counter() - began
                if answer != wanted:
                    raise SystemExit("tier A: the answer is another one after the restore")
                stages["put back"].append(back)
                stages["first answer"].append(answered)
                stages["put back and answer"].append(back + answered)
        fresh = []
        for _ in range(setup.rounds):
            with controller() as one:
                fresh.append(timed(one.version))
    size = file.stat().st_size
    for name, values in stages.items():
        figure = goal(setup, "A", size) if name == "put back and answer" else None
        yield Row(f"tier A: {name}", "bentofn", "time", "s", values, figure)
    yield Row("tier A: left on the GPU when out", "bentofn", "size", "MB", left, "<= 0")
    yield Row("a controller's start (cuInit)", "bentofn", "time", "s", fresh)
    yield Row("plain start to first answer", "bentofn", "time", "s", loaded)


def timed(work: Any) -> float:
    """Seconds that something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def controller() -> Iterator[Controller]:
    """One that has not started yet; it has ended afterwards."""
    one = Controller()
    try:
        yield one
    finally:
        one.close()


class Worker:
    """The process that has the model.

    Args:
        process: It.
        began: When it was started.
    """

    def __init__(self, process: subprocess.Popen[str], began: float) -> None:
        self._process = process
        self.ask("answer")
        self.started = time.perf_counter() - began

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def ask(self, what: str) -> Any:
        """Have it do something; its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the process that has the model ended")
        return json.loads(line)


@contextmanager
def worker(setup: Setup, file: Path) -> Iterator[Worker]:
    """A process that has loaded the model; it has ended afterwards."""
    script = Path(__file__).with_name("tiers_worker.py")
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(script), str(file), setup.device.type],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield Worker(process, began)
    finally:
        process.kill()
        process.wait()
