"""A function that needs more memory than it has. Skipped where nothing can be limited."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local.isolation.cells import Cells, Confinement
from bentofn.adapters.local.isolation.limits import MEBI, Limits
from bentofn.adapters.local.isolation.policy import Isolation
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.invocation import Invocation


@pytest.fixture
def cells(tmp_path: Path) -> Iterator[Cells]:
    confinement = Confinement(f"bentofn-lambda-{os.getpid()}", tmp_path / "groups.json")
    cells = confinement.cells(Limits(memory=128 * MEBI), "greet-")
    if cells.note:
        confinement.close()
        pytest.skip(cells.note)
    yield cells
    confinement.close()


async def test_it_is_killed_and_told_as_lambda_tells_it(make: Any, cells: Cells) -> None:
    greet = await make(
        """
        import os

        def handler(event, context):
            held = bytearray(event << 20)
            return os.getpid()
        """,
        isolation=Isolation(cells),
    )
    await greet.value(10)
    error = await greet.error(300)
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    report = greet.log()[-1]
    assert "\tMemory Size: 128 MB\tMax Memory Used: 128 MB\t" in report
    assert any("memory limit of 128 MiB" in line for line in greet.log())
    assert await greet.value(10) > 0


async def test_those_that_were_restored_have_limits_of_their_own(make: Any, cells: Cells) -> None:
    greet = await make(
        "def handler(event, context):\n    return len(bytearray(event << 20))\n",
        isolation=Isolation(cells),
        snap_start=True,
    )
    other = LambdaEnvironment(greet.setup, "greet-2", greet.snapshots.take)
    await other.ready()
    try:
        assert (await greet.error(300))["errorMessage"].endswith("signal: killed")
        event = Invocation("9c2d8b0a-0000-4000-8000-000000000000", b"10", time.time() + 10)
        assert (await other.invoke(event)).payload == b"10485760"
    finally:
        await other.stop(0.0)
