"""The startup and the shutdown of an ASGI application that no server runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from bentofn.runtime.errors import BentoMLException


class Lifespan:
    """An application's startup and shutdown; one that has none is left alone.

    Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self._app = app
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start it.

        Raises:
            BentoMLException: It says that it cannot start.
        """
        self._task = asyncio.ensure_future(self._live())
        await self._ask("startup")

    async def shutdown(self) -> None:
        """Stop it."""
        if self._task is not None:
            await self._ask("shutdown")
            await self._task

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        try:
            await self._app(scope, self._told.get, self._said.put)
        except Exception:  # what the specification has an application without a lifespan do
            self._task = None
        await self._said.put({"type": "none"})

    async def _ask(self, what: str) -> None:
        await self._told.put({"type": f"lifespan.{what}"})
        said = await self._said.get()
        if said["type"] == f"lifespan.{what}.failed":
            raise BentoMLException(f"The application's {what} failed: {said.get('message', '')}")
