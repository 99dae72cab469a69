"""The database of Lambda's API, used from the event loop.

What is asked for while a transaction is under way goes into the next one together, so that a burst
of events does not wait for the disk once each.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bentofn.adapters.local.lambda_.api.errors import LambdaError
from bentofn.adapters.local.lambda_.api.store import Store

_T = TypeVar("_T")
_Use = Callable[[Store], Any]


class Disk:
    """One database, opened when it is there or something is to be kept.

    Args:
        path: The database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._store: Store | None = None
        self._asked: list[tuple[_Use, asyncio.Future[Any]]] = []
        self._writing: asyncio.Task[None] | None = None

    @property
    def used(self) -> bool:
        """Whether there is a database."""
        return self._store is not None

    def existing(self) -> Store | None:
        """The database, where there is one already, for now that nobody else uses it.

        Raises:
            OSError, sqlite3.Error: It is damaged.
        """
        return self._opened() if self._path.exists() else None

    async def call(self, use: Callable[[Store], _T]) -> _T:
        """Do something with the database; it is on disk when this returns.

        Raises:
            LambdaError: It cannot be read or written.
        """
        answered: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._asked.append((use, answered))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        try:
            return await answered
        except (OSError, sqlite3.Error) as error:
            message = f"{self._path} cannot be read or written: {error}"
            raise LambdaError(500, "ServiceException", message) from error

    async def close(self) -> None:
        """Finish what was asked for, and close the database."""
        if self._writing is not None:
            await self._writing
        if self._store is not None:
            self._store.close()
            self._store = None

    async def _write(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            results = await asyncio.to_thread(self._together, [use for use, _ in asked])
            for (_, answered), result in zip(asked, results, strict=True):
                if answered.done():
                    continue  # who asked has gone
                if isinstance(result, Exception):
                    answered.set_exception(result)
                else:
                    answered.set_result(result)

    def _together(self, uses: list[_Use]) -> list[Any]:
        """Do several things in one transaction; what failed has its error for a result."""
        results: list[Any] = []
        try:
            with self._opened().transaction() as store:
                for use in uses:
                    try:
                        results.append(use(store))
                    except Exception as error:
                        results.append(error)
        except (OSError, sqlite3.Error) as error:
            return [error] * len(uses)
        return results

    def _opened(self) -> Store:
        if self._store is None:
            self._store = Store(self._path)
        return self._store
