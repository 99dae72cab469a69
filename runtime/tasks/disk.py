"""The database of tasks as the loop uses it: on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from bentofn.runtime.tasks.store import TaskStore

logger = logging.getLogger("bentofn.tasks")

_WRITE_AGAIN = (0.1, 10.0)
"""Seconds from a write that failed to the next, at first and at most; doubled each time."""

T = TypeVar("T")


class Disk:
    """Runs calls of a store, one after another.

    Args:
        path: The database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tasks")

    async def open(self) -> list[tuple[str, int]]:
        """Open the store; returns what processes that ended have left in it.

        Raises:
            OSError: The database's directory cannot be written.
            sqlite3.Error: It is no database, or full.
        """
        try:
            self.store, left = await self.run(_opened, self.path)
        except BaseException:
            self._thread.shutdown()
            raise
        return left

    async def close(self) -> None:
        """Close the store."""
        await self.run(self.store.close)
        self._thread.shutdown()

    async def run(self, call: Callable[..., T], *args: object) -> T:
        """Run a call. It is done to its end, whoever stops waiting for it.

        Raises:
            sqlite3.Error: The database cannot be read or written.
        """
        job = asyncio.get_running_loop().run_in_executor(self._thread, call, *args)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await asyncio.wait([job])
            raise

    async def write(self, call: Callable[..., T], *args: object) -> T:
        """Run a call whose failure nobody could be told; on a full disk, once there is room again.

        Raises:
            sqlite3.Error: The database is broken.
        """
        wait, most = _WRITE_AGAIN
        while True:
            try:
                return await self.run(call, *args)
            except sqlite3.OperationalError as error:
                logger.error("The tasks in %s cannot be written yet: %s", self.path, error)
            await asyncio.sleep(wait)
            wait = min(2 * wait, most)


def _opened(path: Path) -> tuple[TaskStore, list[tuple[str, int]]]:
    store = TaskStore(path)
    try:
        return store, store.recover()
    except BaseException:
        store.close()
        raise
