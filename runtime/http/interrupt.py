"""Interrupting the current task: when its time is over, or when its client has left."""

from __future__ import annotations

import asyncio
import sys
from itertools import takewhile
from types import TracebackType
from typing import Protocol

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

    def fire(self) -> None:
        """Interrupt."""
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


class Ends(Protocol):
    """What a limit ends."""

    def fire(self) -> None:
        """End it."""


class Deadlines:
    """Limits of the same length, which therefore end in the order in which they began.

    One timer of the loop serves all: a timer each would cost more than the rest of what is here.

    Args:
        seconds: The length.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[Ends, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> Deadline:
        """A limit that runs from its entry on."""
        return Deadline(self)

    def add(self, deadline: Ends) -> None:
        """A limit begins."""
        loop = asyncio.get_running_loop()
        self._due[deadline] = loop.time() + self._seconds
        if self._timer is None:
            self._timer = loop.call_later(self._seconds, self._look)

    def remove(self, deadline: Ends) -> None:
        """A limit is lifted, or was."""
        self._due.pop(deadline, None)

    def close(self) -> None:
        """Leave nothing to the loop, which may end: the next limit may begin on another."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Fire what is due, and look again when the next is."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for deadline in [each for each, due in takewhile(lambda x: x[1] <= now, self._due.items())]:
            self.remove(deadline)
            deadline.fire()
        first = next(iter(self._due.values()), None)
        self._timer = None if first is None else loop.call_later(first - now, self._look)


class Deadline(_Interrupt):
    """Interrupts after some seconds. ``asyncio.timeout`` would do, but it needs Python 3.11.

    Args:
        deadlines: Those that it is one of.
    """

    error = DeadlineExceededError

    def __init__(self, deadlines: Deadlines) -> None:
        self._fired = False
        self._deadlines = deadlines

    def _arm(self) -> None:
        self._deadlines.add(self)

    def lift(self) -> None:
        """Take the limit away."""
        self._deadlines.remove(self)


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
            self.fire()

    def lift(self) -> None:
        """Stop watching."""
        self._watch.remove_done_callback(self._left)
        self._watch.cancel()
