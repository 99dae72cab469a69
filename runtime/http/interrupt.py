"""Interrupting the current task: when its time is over, or when its client has left."""

from __future__ import annotations

import asyncio
import sys
from types import TracebackType

from bentofn.runtime.http.exchange import ClientLeftError, Exchange


class DeadlineExceededError(Exception):
    """The time limit was reached."""


class _Interrupt:
    """Cancels the task that entered it when fired, and turns the cancellation into an error."""

    error: type[Exception]

    def __init__(self) -> None:
        self._fired = False

    def __enter__(self) -> _Interrupt:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a running task can be interrupted")
        self._task = task
        self._arm()
        return self

    def _arm(self) -> None:
        raise NotImplementedError

    def lift(self) -> None:
        """Let the task run on, whatever happens."""
        raise NotImplementedError

    def _fire(self) -> None:
        self._fired = True
        self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.lift()
        if not self._fired:
            return
        if sys.version_info >= (3, 11) and self._task.uncancel() > 0:
            return  # someone else cancelled the task as well
        if kind is asyncio.CancelledError:
            raise self.error from error


class Deadline(_Interrupt):
    """Interrupts after some seconds. ``asyncio.timeout`` would do, but it needs Python 3.11.

    Args:
        seconds: The limit.
    """

    error = DeadlineExceededError

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._fire)

    def lift(self) -> None:
        """Take the limit away."""
        self._timer.cancel()


class WhileConnected(_Interrupt):
    """Interrupts when the client leaves. The request must have been read to its end.

    Args:
        exchange: The request.
    """

    error = ClientLeftError

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self._exchange = exchange

    def _arm(self) -> None:
        self._watch = asyncio.ensure_future(self._exchange.disconnected())
        self._watch.add_done_callback(self._left)

    def _left(self, watch: asyncio.Future[None]) -> None:
        if not watch.cancelled() and watch.exception() is None:
            self._fire()

    def lift(self) -> None:
        """Stop watching."""
        self._watch.remove_done_callback(self._left)
        self._watch.cancel()
