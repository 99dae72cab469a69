"""Tasks on the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bentofn.runtime.tasks.tasks import Call, Tasks


@asynccontextmanager
async def opened(path: Path, call: Call, limit: int = 1) -> AsyncIterator[Tasks]:
    """Tasks that are kept in a database."""
    tasks = Tasks(path, call, limit)
    await tasks.start()
    try:
        yield tasks
    finally:
        await tasks.stop(0.0)


async def ended(tasks: Tasks, task: str) -> str:
    """How a task has ended, once it has."""
    for _ in range(5000):
        row = await tasks.row(task)
        assert row is not None
        if row.ended is not None:
            return row.state
        await asyncio.sleep(0.002)
    raise AssertionError("the task does not end")
