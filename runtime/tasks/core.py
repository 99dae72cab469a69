"""Which of the submitted tasks run: decided without I/O."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from dataclasses import dataclass

ATTEMPTS = 3
"""Times that a task is begun, should what runs it end under it."""

BACKOFF = 1.0
"""Seconds from the first interruption to the next attempt; doubled with each further one."""


@dataclass(frozen=True)
class Start:
    """Run a task; answered by ``ended`` or ``interrupted``."""

    id: str


@dataclass(frozen=True)
class Stop:
    """Stop a task that runs; answered as a start is."""

    id: str


@dataclass(frozen=True)
class GiveUp:
    """A task was interrupted too often: it has failed for this reason."""

    id: str
    reason: str


@dataclass(frozen=True)
class WakeAt:
    """Call ``tick`` at this time; it replaces an earlier one."""

    time: float


Command = Start | Stop | GiveUp | WakeAt


class TaskQueue:
    """Starts tasks in the order of their submission, so many at a time.

    Args:
        limit: Tasks that run at a time; may be changed.
        attempts: Times that an interrupted task is begun.
        backoff: Seconds until the second attempt.
    """

    def __init__(self, limit: int, attempts: int = ATTEMPTS, backoff: float = BACKOFF) -> None:
        self.limit = limit
        self._attempts = attempts
        self._backoff = backoff
        self._begun: dict[str, int] = {}
        self._waiting: OrderedDict[str, None] = OrderedDict()
        self._later: list[tuple[float, str]] = []
        self._running: set[str] = set()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Tasks that wait."""
        return len(self._waiting) + sum(task in self._begun for _, task in self._later)

    @property
    def running(self) -> int:
        """Tasks that run."""
        return len(self._running)

    def submitted(self, task: str, now: float, begun: int = 0) -> list[Command]:
        """Take in a task.

        Args:
            task: Its id, which is new.
            now: Seconds on a monotonic clock, as everywhere here.
            begun: Times that it was begun already, by a process that has ended.
        """
        self._begun[task] = begun
        if begun >= self._attempts:
            return self._give_up(task, "what ran it ended")
        self._waiting[task] = None
        return self._start()

    def ended(self, task: str, now: float) -> list[Command]:
        """A task that ran has a result, or was cancelled."""
        self._running.discard(task)
        self._begun.pop(task, None)
        return self._start()

    def interrupted(self, task: str, reason: str, now: float) -> list[Command]:
        """What ran a task ended, or could not begin."""
        self._running.discard(task)
        if task not in self._begun:  # it was cancelled
            return self._start()
        begun = self._begun[task]
        if begun >= self._attempts:
            return [*self._give_up(task, reason), *self._start()]
        heapq.heappush(self._later, (now + self._backoff * 2 ** (begun - 1), task))
        return [*self._start(), WakeAt(self._later[0][0])]

    def cancelled(self, task: str, now: float) -> list[Command]:
        """Nobody wants a task any more."""
        self._waiting.pop(task, None)
        wanted = self._begun.pop(task, None) is not None
        return [Stop(task)] if wanted and task in self._running else []

    def tick(self, now: float) -> list[Command]:
        """Time has passed, or the limit has changed."""
        while self._later and self._later[0][0] <= now:
            _, task = heapq.heappop(self._later)
            if task in self._begun:
                self._waiting[task] = None
        wake: list[Command] = [WakeAt(self._later[0][0])] if self._later else []
        return [*self._start(), *wake]

    def close(self) -> None:
        """Start nothing any more."""
        self._closed = True

    def _start(self) -> list[Command]:
        started: list[Command] = []
        while self._waiting and len(self._running) < (0 if self._closed else self.limit):
            task, _ = self._waiting.popitem(last=False)
            self._running.add(task)
            self._begun[task] += 1
            started.append(Start(task))
        return started

    def _give_up(self, task: str, reason: str) -> list[Command]:
        begun = self._begun.pop(task)
        times = "once" if begun == 1 else f"{begun} times"
        return [GiveUp(task, f"The task was begun {times} and did not end: {reason}")]
