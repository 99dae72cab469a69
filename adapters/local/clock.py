"""The platform's time, which may run faster than the wall's, stand still, or be moved ahead.

Idle timeouts, autoscalers, retries and schedules go by it. What is physical goes by the event
loop's: how long an instance takes to start, a request to be answered, a connection to stay open.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

_FEW = 64
"""Timers from which on those that were cancelled are looked for."""


class Timer:
    """A call that is to come.

    Args:
        when: On the clock's monotonic time.
        call: It; None once it was made or called off.
    """

    def __init__(self, when: float, call: Callable[[], None] | None) -> None:
        self.when = when
        self.call = call

    def cancel(self) -> None:
        """Call it off, if it has not been made."""
        self.call = None


class Clock(Protocol):
    """What all of the platform that waits goes by."""

    def now(self) -> float:
        """Seconds since the epoch, in the platform's time."""

    def monotonic(self) -> float:
        """Seconds that never go backwards, in the platform's time."""

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        """Have a function called at a time of :meth:`monotonic`, or soon if that has passed."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""

    def working(self) -> AbstractContextManager[None]:
        """Have :meth:`SystemClock.tick` wait for what a timer has begun before time goes on."""

    def holding(self) -> AbstractContextManager[None]:
        """Have it not wait: what was begun may need something that is held up until a time."""


class SystemClock:
    """A clock that follows the machine's.

    Args:
        speed: Seconds that pass here in one of the machine's; at 0 only :meth:`advance` and
            :meth:`tick` make time pass.
        start: Seconds since the epoch with which it begins; None for the machine's.
    """

    def __init__(self, speed: float = 1.0, start: float | None = None) -> None:
        self.speed = speed
        self._follows = speed == 1.0 and start is None
        self._began = time.monotonic()
        self._ahead = 0.0
        self._epoch = (time.time() if start is None else start) - self.monotonic()
        self._timers: list[tuple[float, int, Timer]] = []
        self._many = _FEW
        self._numbers = itertools.count()
        self._armed: asyncio.Handle | None = None
        self._armed_for = 0.0
        self._ticking = asyncio.Lock()
        self._works = 0
        self._holds = 0
        self._idle: asyncio.Event | None = None

    def now(self) -> float:
        """See :class:`Clock`."""
        if self._follows:
            # The machine's clock may be set, which its monotonic one does not show.
            return time.time() + self._ahead
        return self._epoch + self.monotonic()

    def monotonic(self) -> float:
        """See :class:`Clock`."""
        if not self.speed:
            return self._ahead
        return (time.monotonic() - self._began) * self.speed + self._ahead

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        """See :class:`Clock`; where time stands still and no event loop runs, it waits."""
        timer = Timer(when, call)
        self._forget_cancelled()
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        self._arm()
        return timer

    async def sleep(self, seconds: float) -> None:
        """See :class:`Clock`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def end() -> None:
            if not over.done():
                over.set_result(None)

        timer = self.call_at(self.monotonic() + seconds, end)
        try:
            await over
        finally:
            timer.cancel()

    def advance(self, seconds: float) -> None:
        """Have time pass now, and make the calls that it brings, each at its own time.

        Args:
            seconds: How much.
        """
        target = self.monotonic() + seconds
        while (timer := self._first()) is not None and timer.when <= target:
            self._go_to(timer.when)
            self._fire()
        self._go_to(target)
        self._arm()

    async def tick(self, seconds: float) -> None:
        """Have time pass now, as :meth:`advance`, but wait at each call for what it brings about.

        While anything is held up, it does not wait: see :meth:`holding`.

        Those that are asked for at the same time pass one after the other.

        Args:
            seconds: How much.
        """
        async with self._ticking:
            target = self.monotonic() + seconds
            await self._settle()
            while (timer := self._first()) is not None and timer.when <= target:
                self._go_to(timer.when)
                self._fire()
                await self._settle()
            self._go_to(target)
            self._arm()

    @contextmanager
    def working(self) -> Iterator[None]:
        """See :class:`Clock`."""
        self._works += 1
        try:
            yield
        finally:
            self._works -= 1
            if not self._works and self._idle is not None:
                self._idle.set()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """See :class:`Clock`."""
        self._holds += 1
        if self._idle is not None:
            self._idle.set()
        try:
            yield
        finally:
            self._holds -= 1

    async def _settle(self) -> None:
        await asyncio.sleep(0)  # a task that was woken or made says now that it works
        while self._works and not self._holds:
            self._idle = asyncio.Event()
            await self._idle.wait()
            await asyncio.sleep(0)

    def _go_to(self, when: float) -> None:
        if self.speed:
            self._ahead += max(0.0, when - self.monotonic())
        else:  # exactly, for those who compare
            self._ahead = max(when, self._ahead)

    def _first(self) -> Timer | None:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        return self._timers[0][2] if self._timers else None

    def _fire(self) -> None:
        """Make the first call."""
        timer = heapq.heappop(self._timers)[2]
        call, timer.call = timer.call, None
        if call is not None:
            call()

    def _due(self) -> None:
        self._armed = None
        now = self.monotonic()
        try:
            while (timer := self._first()) is not None and timer.when <= now:
                self._fire()
        finally:
            self._arm()

    def _arm(self) -> None:
        """Have the loop wake us for the first call; at 0 only for one that is due."""
        first = self._first()
        if first is None or (self._armed is not None and self._armed_for <= first.when):
            return
        wait = first.when - self.monotonic()
        if wait > 0 and not self.speed:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._armed is not None:
            self._armed.cancel()
        seconds = wait / self.speed if wait > 0 else 0.0
        self._armed = loop.call_later(seconds, self._due)
        self._armed_for = first.when

    def _forget_cancelled(self) -> None:
        if len(self._timers) > self._many:
            self._timers = [each for each in self._timers if each[2].call is not None]
            heapq.heapify(self._timers)
            self._many = max(_FEW, 2 * len(self._timers))


class ManualClock(SystemClock):
    """A clock that stands still until it is told to go on.

    Args:
        start: Seconds since the epoch with which it begins.
    """

    def __init__(self, start: float = 0.0) -> None:
        super().__init__(0.0, start)
