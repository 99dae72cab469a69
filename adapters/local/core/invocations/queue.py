"""The events that wait for a function: when each is tried, tried again, and given up.

A state machine over events with times (seconds since the epoch, in the platform's time); the shell
keeps what it says to keep, so that a queue made anew of that goes on where this one was.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from bentofn.adapters.local.core.invocations.policy import RETRY_DELAYS, Policy, backoff

Condition = Literal["Success", "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency"]


@dataclass(frozen=True)
class Entry:
    """An event that was accepted. Times are in seconds since the epoch.

    Args:
        id: Its request id.
        qualifier: The version or alias it is for; empty for none.
        accepted: When it was accepted.
        due: When it is to be tried next.
        runs: Times that the function ran.
        failures: How many of those failed.
        throttles: Times in a row, up to now, that it could not be run.
    """

    id: str
    qualifier: str
    accepted: float
    due: float
    runs: int = 0
    failures: int = 0
    throttles: int = 0


@dataclass(frozen=True)
class Accepted:
    """An event is to be invoked; it was kept already."""

    entry: Entry


@dataclass(frozen=True)
class Succeeded:
    """The function answered."""

    id: str


@dataclass(frozen=True)
class Failed:
    """The function ran and failed, which includes its timeout."""

    id: str


@dataclass(frozen=True)
class Throttled:
    """The function could not be run: throttled, or the platform's own fault."""

    id: str


@dataclass(frozen=True)
class Blocked:
    """The function may not be run at all: its reserved concurrency is 0."""

    id: str


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = Accepted | Succeeded | Failed | Throttled | Blocked | Tick


@dataclass(frozen=True)
class Invoke:
    """Run the function; answered by Succeeded, Failed, Throttled or Blocked."""

    entry: Entry


@dataclass(frozen=True)
class Keep:
    """Keep what has become of an event."""

    entry: Entry


@dataclass(frozen=True)
class Finish:
    """It is over: keep that, tell the destination, forget it."""

    entry: Entry
    condition: Condition


@dataclass(frozen=True)
class WakeAt:
    """Send a Tick at this time; it replaces an earlier WakeAt."""

    time: float


Command = Invoke | Keep | Finish | WakeAt


class Queue:
    """The events of one function.

    As many are tried at a time as there was room for: one that is throttled makes that fewer, and
    those that run make it more, one for all of them. So a long queue is not throttled all the time.

    Args:
        policy: The policy for a qualifier.
        limit: Events that may run at a time, at most.
    """

    def __init__(self, policy: Callable[[str], Policy], limit: int) -> None:
        self._policy = policy
        self._limit = limit
        self._window = float(limit)
        self._waiting: dict[str, Entry] = {}
        self._running: dict[str, Entry] = {}
        self._times: list[tuple[float, str]] = []
        self._due: deque[str] = deque()
        self._wake: float | None = None

    @property
    def window(self) -> int:
        """Events that may run at a time, as it stands."""
        return int(self._window)

    @property
    def empty(self) -> bool:
        """Whether nothing waits or runs."""
        return not (self._waiting or self._running)

    @property
    def waiting(self) -> int:
        """Events that do not run now."""
        return len(self._waiting)

    def runs(self, id: str) -> bool:
        """Whether an event was told to be invoked, and is not over."""
        return id in self._running

    def entries(self) -> Iterable[Entry]:
        """What waits and what runs."""
        return (*self._waiting.values(), *self._running.values())

    def handle(self, event: Event, now: float) -> list[Command]:
        """Tell the queue what happened; do what it answers, in that order."""
        commands: list[Command] = []
        match event:
            case Accepted(entry):
                self._wait(entry)
            case Succeeded(id):
                entry = self._ran(id)
                commands.append(Finish(entry, "Success"))
            case Failed(id):
                entry = self._ran(id)
                entry = dataclasses.replace(entry, failures=entry.failures + 1)
                if entry.failures > self._policy(entry.qualifier).retries:
                    commands.append(Finish(entry, "RetriesExhausted"))
                else:
                    due = now + RETRY_DELAYS[entry.failures - 1]
                    commands.append(Keep(self._wait(dataclasses.replace(entry, due=due))))
            case Throttled(id):
                entry = self._running.pop(id)
                self._window = float(max(1, min(len(self._running), self.window)))
                throttles = entry.throttles + 1
                due = now + backoff(throttles)
                entry = dataclasses.replace(entry, throttles=throttles, due=due)
                commands.append(Keep(self._wait(entry)))
            case Blocked(id):
                commands.append(Finish(self._running.pop(id), "ZeroReservedConcurrency"))
            case Tick():
                self._wake = None
        self._start(now, commands)
        self._plan(now, commands)
        return commands

    def _ran(self, id: str) -> Entry:
        entry = self._running.pop(id)
        self._window = min(float(self._limit), self._window + 1 / self._window)
        return dataclasses.replace(entry, runs=entry.runs + 1, throttles=0)

    def _wait(self, entry: Entry) -> Entry:
        """Have an entry wait until it is due, or too old."""
        self._waiting[entry.id] = entry
        heapq.heappush(self._times, (min(entry.due, self._expiry(entry)), entry.id))
        return entry

    def _expiry(self, entry: Entry) -> float:
        return entry.accepted + self._policy(entry.qualifier).age

    def _start(self, now: float, commands: list[Command]) -> None:
        while self._times and self._times[0][0] <= now:
            self._due.append(heapq.heappop(self._times)[1])
        while self._due and len(self._running) < self.window:
            entry = self._waiting.pop(self._due.popleft())
            if now >= self._expiry(entry):
                commands.append(Finish(entry, "EventAgeExceeded"))
            else:
                self._running[entry.id] = entry
                commands.append(Invoke(entry))

    def _plan(self, now: float, commands: list[Command]) -> None:
        """Ask to be woken when the next is due; those that wait for room need no time."""
        if self._times and self._times[0][0] != self._wake:
            self._wake = self._times[0][0]
            commands.append(WakeAt(self._wake))
