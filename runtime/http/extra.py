"""Routes that stand beside a service's own, such as those of its tasks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from bentofn.runtime.http.exchange import Exchange

Answer = Callable[[Exchange], Awaitable[None]]


class Extra(Protocol):
    """Routes that a part of the runtime adds to an application: ``ServiceApp.add``."""

    @property
    def routes(self) -> Mapping[tuple[str, str], Answer]:
        """HTTP method and whole path, to what answers there."""

    async def start(self) -> None:
        """Get ready to answer; called on the serving loop, after the ``on_startup`` hooks."""

    async def stop(self) -> None:
        """Let go of what :meth:`start` took; called before the ``on_shutdown`` hooks."""
