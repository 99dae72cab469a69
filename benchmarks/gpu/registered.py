"""Weights onto the GPU from a file that the host's keeper has pinned."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from table import Row

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.weights import onto
from bentofn.runtime.weights.keeper import client
from bentofn.runtime.weights.keeper.wire import VARIABLE
from bentofn.runtime.weights.plan import Plan
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.staging import Staging
from gpu.model import model_file, tensors
from gpu.setup import Setup, bring_in
from gpu.weights import compare, loader, rates

ROOT = Path(__file__).resolve().parents[2]


def rows(setup: Setup) -> Iterator[Row]:
    """Its rate, its share of L1, and how long the file took to be pinned, once."""
    file = model_file(setup)
    bring_in(file)
    reference = {name: t.to(setup.device) for name, t in tensors(setup.size).items()}
    staging = Staging(setup.context)
    load = loader(staging)
    with keeper(setup.folder / "keeper", 2 * setup.size), counted() as copies:
        began = time.perf_counter()
        while not copies and time.perf_counter() - began < 60:
            load(file, setup.device)
        if not copies:
            raise SystemExit("The keeper does not keep the file.")
        pinned = time.perf_counter() - began
        seconds = []
        for _ in range(setup.rounds):
            copies.clear()
            took, found = setup.timed(lambda: load(file, setup.device))
            compare(found, reference, "bentofn, registered")
            if not copies:
                raise SystemExit("The keeper gave the file up.")
            del found
            seconds.append(took)
    staging.close()
    yield Row("registered", "bentofn", "rate", "GB/s", rates(file, seconds))
    if "L1" in setup.limits:
        share = [rate / setup.limits["L1"] for rate in rates(file, seconds)]
        yield Row("registered: share of L1", "bentofn", "share", "", share, goal=">= 0.92")
    yield Row("registered: until the file is pinned, once", "bentofn", "wall", "s", [pinned])


@contextmanager
def keeper(path: Path, size: int) -> Iterator[None]:
    """A keeper of so many bytes on this machine, which this process asks."""
    command = [sys.executable, "-m", "bentofn.runtime.weights.keeper", str(path)]
    command += ["--gigabytes", str(size / 1e9)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    os.environ[VARIABLE] = str(path)
    try:
        assert process.stdout is not None
        if not process.stdout.readline():
            raise SystemExit("The keeper did not start.")
        yield
    finally:
        del os.environ[VARIABLE]
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def counted() -> Iterator[list[int]]:
    """What the keeper copies, in bytes: a load that was plain instead is not to count."""
    copies: list[int] = []
    ask = client.copied

    def asked(
        source: FileSource, plan: Plan, context: Context, address: int, memory: object
    ) -> bool:
        done = ask(source, plan, context, address, memory)
        if done:
            copies.append(plan.size)
        return done

    onto.copied = asked
    try:
        yield copies
    finally:
        onto.copied = ask
