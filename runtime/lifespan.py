"""The startup and the shutdown of an ASGI application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from bentofn.runtime.errors import BentoMLException

logger = logging.getLogger("bentofn.server")


class Lifespan:
    """An application's startup and shutdown.

    Args:
        app: The application.
        required: Whether one that raises cannot start; else it is one that has no lifespan, and is
            left alone.

    Source: https://asgi.readthedocs.io/en/latest/specs/lifespan.html
    """

    def __init__(self, app: Callable[..., Any], *, required: bool = False) -> None:
        self.state: dict[str, Any] = {}
        """What the startup left for requests."""
        self._app = app
        self._required = required
        self._told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Start it.

        Raises:
            BentoMLException: It says that it cannot start.
        """
        self._task = asyncio.ensure_future(self._live())
        await self._ask("startup", "start-up")

    async def shutdown(self) -> None:
        """Stop it."""
        if self._task is not None:
            await self._ask("shutdown", "shutdown")
            await self._task

    async def _live(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        said = {"type": "none"}
        try:
            await self._app(scope, self._told.get, self._said.put)
        except Exception as error:  # what the specification has one without a lifespan do
            self._task = None
            if self._required:
                logger.exception("The application failed outside of any request")
                said = {"type": "lifespan.startup.failed", "message": f"{error!r}"}
        await self._said.put(said)

    async def _ask(self, what: str, name: str) -> None:
        await self._told.put({"type": f"lifespan.{what}"})
        said = await self._said.get()
        if said["type"] == f"lifespan.{what}.failed":
            raise BentoMLException(
                f"The service's {name} failed: {said.get('message') or 'its log says why'}"
            )
