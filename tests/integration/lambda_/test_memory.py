"""A function that needs more memory than it has. Skipped where nothing can be limited."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local.isolation.cells import Cells, Confinement
from bentofn.adapters.local.isolation.limits import MEBI, Limits
from bentofn.adapters.local.isolation.policy import Isolation


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
