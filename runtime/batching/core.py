"""Which requests run together and when: a state machine without a clock and without I/O.

Every method takes the time of the event and returns the commands that its driver carries out. The
policy is work-conserving: a free callee gets what is queued at once, in order of arrival, and what
arrives while a batch runs forms the next one. There is no wait window, so a lone request pays
nothing and batches grow only where the callee is slower than the arrivals.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import takewhile


@dataclass(frozen=True)
class Slice:
    """Items ``start:stop`` of one request."""

    request_id: int
    start: int
    stop: int


@dataclass(frozen=True)
class Dispatch:
    """Run these slices as one batch, joined in this order, and then call ``Batcher.finished``."""

    batch: tuple[Slice, ...]


@dataclass(frozen=True)
class Expire:
    """The request waited longer than the limit: answer 503."""

    request_id: int


@dataclass(frozen=True)
class WakeAt:
    """Call ``Batcher.wake`` at this time; replaces a later time asked for before."""

    time: float


Command = Dispatch | Expire | WakeAt


@dataclass
class _Waiting:
    request_id: int
    size: int
    kind: Hashable
    deadline: float
    taken: int = 0

    @property
    def started(self) -> bool:
        return self.taken > 0


class Batcher:
    """The queue of one batchable method.

    Args:
        max_batch_size: items of a batch at most. Only a request that is larger is split over
            batches; any other runs whole.
        max_latency: seconds that a request may wait; one that is running never expires.
        max_in_flight: batches that run at the same time at most.

    The driver may wake the batcher early or more often than asked; its clock must not go backwards.
    """

    def __init__(self, max_batch_size: int, max_latency: float, max_in_flight: int = 1) -> None:
        if max_batch_size < 1 or max_in_flight < 1 or not max_latency > 0:
            raise ValueError("max_batch_size, max_latency and max_in_flight must be positive")
        self._max_batch_size = max_batch_size
        self._max_latency = max_latency
        self._max_in_flight = max_in_flight
        self._queue: OrderedDict[int, _Waiting] = OrderedDict()
        self._running = 0
        self._asked = math.inf

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._queue and not self._running

    def submit(
        self, request_id: int, size: int, now: float, kind: Hashable = None
    ) -> list[Command]:
        """Queue a request of ``size`` items (0 is allowed: it rides along with others, or alone).

        Only requests of equal ``kind`` run in one batch; another kind starts the next batch.
        Nothing is dispatched before the driver's next ``wake``, so that requests that arrive in
        the same instant share a batch.
        """
        if size < 0 or request_id in self._queue:
            raise ValueError(f"request {request_id} of size {size} cannot be queued")
        self._queue[request_id] = _Waiting(request_id, size, kind, now + self._max_latency)
        return self._ask(now)

    def wake(self, now: float) -> list[Command]:
        """Expire what is due, then dispatch while there is work and the callee is free."""
        self._asked = math.inf
        commands: list[Command] = list(self._expire(now))
        while self._queue and self._running < self._max_in_flight:
            self._running += 1
            commands.append(Dispatch(self._take()))
        return commands + self._ask(now)

    def finished(self, now: float) -> list[Command]:
        """A batch has ended, well or badly."""
        if not self._running:
            raise ValueError("no batch is running")
        self._running -= 1
        return self._ask(now)

    def cancel(self, request_id: int) -> None:
        """Forget what still waits of a request; unknown and finished ones are ignored."""
        self._queue.pop(request_id, None)

    def drain(self) -> list[int]:
        """Forget every request of which nothing has run, and return their ids."""
        dropped = [waiting.request_id for waiting in self._queue.values() if not waiting.started]
        for request_id in dropped:
            del self._queue[request_id]
        return dropped

    def _expire(self, now: float) -> list[Expire]:
        # Deadlines rise along the queue; only its head can have started.
        due = takewhile(lambda each: each.started or each.deadline <= now, self._queue.values())
        expired = [Expire(each.request_id) for each in due if not each.started]
        for command in expired:
            del self._queue[command.request_id]
        return expired

    def _take(self) -> tuple[Slice, ...]:
        batch: list[Slice] = []
        room = self._max_batch_size
        kind = self._head().kind
        while self._queue and self._head().kind == kind:
            head = self._head()
            left = head.size - head.taken
            fits_whole_later = head.size <= self._max_batch_size
            if left > room and (fits_whole_later or not room):
                break
            count = min(left, room)
            batch.append(Slice(head.request_id, head.taken, head.taken + count))
            head.taken += count
            room -= count
            if head.taken == head.size:
                del self._queue[head.request_id]
        return tuple(batch)

    def _head(self) -> _Waiting:
        return next(iter(self._queue.values()))

    def _ask(self, now: float) -> list[Command]:
        due = self._due(now)
        if due >= self._asked:
            return []
        self._asked = due
        return [WakeAt(due)]

    def _due(self, now: float) -> float:
        if self._queue and self._running < self._max_in_flight:
            return now
        return next((each.deadline for each in self._queue.values() if not each.started), math.inf)
