"""A request that has its batch to itself."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bentofn.runtime.errors import ServiceUnavailable


@dataclass(slots=True)
class Lone:
    """A request that nobody shares a batch with, answered in the task that asked for it.

    Args:
        task: That task.
        arrived: When it came, in seconds of the dispatcher's clock.
        until_left: Raises once nobody waits for the answer any more.
        watch: The task that waits for that.
        error: What that raised.
        ended: Set at its end, where somebody waits for that.
    """

    task: asyncio.Task[Any] | None
    arrived: float
    until_left: Callable[[], Awaitable[None]] | None
    watch: asyncio.Task[None] | None = None
    error: Exception | None = None
    ended: asyncio.Event | None = None

    def end(self) -> None:
        """Its call has ended; what its task does next is not the batches'."""
        if self.watch is not None:
            self.watch.cancel()
        if self.ended is not None:
            self.ended.set()

    async def wait(self) -> None:
        """Wait for its call's end."""
        if self.ended is None:
            self.ended = asyncio.Event()
        await self.ended.wait()

    async def end_when_left(self) -> None:
        """End its call once its client has left."""
        if self.until_left is not None and self.task is not None:
            try:
                await self.until_left()
            except Exception as error:
                self.error = error
                self.task.cancel()

    def why_ended(self, error: BaseException) -> BaseException:
        """What its caller is told of an error; a cancellation may be another's, or nobody's."""
        task = self.task
        if task is None or not isinstance(error, asyncio.CancelledError):
            return error
        if self.error is not None:
            if sys.version_info >= (3, 11):
                task.uncancel()
            return self.error
        # Before Python 3.11 nobody knows whether the task was cancelled or only what it awaits.
        is_own = sys.version_info < (3, 11) or task.cancelling() > 0
        return error if is_own else ServiceUnavailable("The batch was cancelled.")
