"""Functions on AWS Lambda: how long a start takes, packaged by us and by others, and a plan.

AWS's own emulator and the unmodified awslambdaric run them, from ``/opt`` and ``/var/task`` that
they may only read. All files are in the page cache: what Lambda's storage adds comes on top, and is
less for whoever reads less.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np
from lambdas import EVENT, MEMORY, PYTHON, Packaged, fetch_emulator, invoke, package_all
from planning import measure_help, measure_plans
from table import Row, Table, arguments, ratios

from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.invocation import Invocation
from bentofn.adapters.local.lambda_.snapstart import SnapStart

TOLERANCE = 1e-4


def measure_starts(functions: list[Packaged], rie: Path, table: Table, rounds: int) -> np.ndarray:
    """From nothing to an answer, in turn; gives the answer."""
    took: dict[str, list[float]] = {each.name: [] for each in functions}
    used: dict[str, list[float]] = {each.name: [] for each in functions}
    truth = None
    for number in range(rounds + 1):
        for each in functions:
            with each.machine.emulated(rie, each.handler, each.variables) as started:
                began = time.perf_counter()
                answer = np.asarray(invoke(started.url))
                elapsed = (time.perf_counter() - began) * 1000
                cpu = started.cpu()
            truth = answer if truth is None else truth
            if not np.allclose(answer, truth, atol=TOLERANCE):
                raise SystemExit(f"{each.name} answers otherwise")
            if number:  # the first fills the page cache
                took[each.name].append(elapsed)
                used[each.name].append(cpu)
    case = "onnx embeddings, zip"
    for name, values in took.items():
        table.add(Row(case, name, "init and first answer", "ms", values))
        table.add(Row(case, name, "its CPU", "ms", used[name]))
    ours = functions[0].name
    for number, each in enumerate(functions[1:]):
        goal = "<= 0.5" if number == 0 else None
        both = f"{ours} : {each.name}"
        table.add(Row(case, both, "time", "ratio", ratios(took[ours], took[each.name]), goal))
        table.add(Row(case, both, "CPU", "ratio", ratios(used[ours], used[each.name])))
    assert truth is not None
    return truth


async def measure_restores(
    packaged: Packaged, truth: np.ndarray, table: Table, rounds: int
) -> None:
    """From a request to an answer of a function that SnapStart restores."""
    function = Configuration(
        "embeddings", packaged.handler, PYTHON, memory=int(MEMORY), timeout=60.0, snap_start=True
    )
    setup = packaged.machine.setup(function, [])
    snapshots = SnapStart(setup)
    values = []
    try:
        for number in range(rounds + 1):
            await snapshots.publish()
            began = time.perf_counter()
            environment = LambdaEnvironment(setup, f"embeddings-{number}", snapshots.take)
            await environment.ready()
            event = Invocation(str(uuid.uuid4()), json.dumps(EVENT).encode(), time.time() + 60)
            result = await environment.invoke(event)
            elapsed = (time.perf_counter() - began) * 1000
            answer = np.asarray(json.loads(result.payload))
            if result.function_error or not np.allclose(answer, truth, atol=TOLERANCE):
                raise SystemExit(f"a restored function answers {result.payload[:200]!r}")
            await environment.stop(0.0)
            if number:
                values.append(elapsed)
    finally:
        await snapshots.close()
    table.add(
        Row(
            "onnx embeddings, SnapStart",
            "bentofn",
            "restore to first answer",
            "ms",
            values,
            "<= 60",
        )
    )


def measure(functions: list[Packaged], rie: Path, table: Table, *, quick: bool) -> None:
    """Add all rows."""
    truth = measure_starts(functions, rie, table, 3 if quick else 9)
    asyncio.run(measure_restores(functions[0], truth, table, 5 if quick else 15))
    measure_help(table, 5 if quick else 15)


def new_table() -> Table:
    """The table without its rows."""
    return Table("deploy", ("awslambdaric", "mangum", "numpy", "onnxruntime"))


def main() -> None:
    """Measure, print and write the table."""
    given = arguments(__doc__)
    table = new_table()
    with tempfile.TemporaryDirectory(prefix="deploy-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        measure(package_all(folder), fetch_emulator(folder), table, quick=given.quick)
        rounds = 3 if given.quick else 15
        measure_plans(folder / "project", folder / "home", table, rounds)
    table.write(given.json)


if __name__ == "__main__":
    sys.exit(main())
