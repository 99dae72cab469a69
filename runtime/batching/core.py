"""Which requests run together and when: a state machine without a clock and without I/O.

Every method takes the time of the event and returns the commands that its driver carries out. The
policy is work-conserving: a free callee gets what is queued at once, in order of arrival, and what
arrives while a batch runs forms the next one. A lone request pays nothing, and batches grow only
where the callee is slower than the arrivals.

Where the learned times say that a request's limit is near, less is joined, and where they say that
it cannot be met, the oldest request is refused while those behind it still can be answered in time
(the "early drop" of Shen et al., Nexus, SOSP 2019).
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass

from bentofn.runtime.batching.commands import Command, Dispatch, Expire, Fail, WakeAt
from bentofn.runtime.batching.in_flight import InFlight
from bentofn.runtime.batching.latency import LatencyModel
from bentofn.runtime.batching.lines import Line, Lines, Slice, Waiting

_FRESH = 0.9
"""Share of its time that a lone request still has when it is tried, whatever was learned: if the
method was slow for a while, that is how its recovery is noticed."""

_TURNS = 2
"""Turns of the loop from a request's first byte to its place in the queue: read, then begun."""


@dataclass(slots=True)
class _Running:
    batch: tuple[Slice, ...]
    items: int
    since: float
    beside: int


class Batcher:
    """The queue of one batchable method.

    Args:
        max_batch_size: Items of a batch at most. Only a request that is larger is split over
            batches; any other runs whole.
        max_latency: Seconds from a request's arrival to its answer; a later one is an error. What
            began at once and by itself may take as long as the method does.
        in_flight: How many batches may run at the same time.

    The driver may wake the batcher early or more often than asked; its clock must not go backwards.
    """

    def __init__(
        self, max_batch_size: int, max_latency: float, in_flight: InFlight | None = None
    ) -> None:
        if max_batch_size < 1 or not max_latency > 0:
            raise ValueError("max_batch_size and max_latency must be positive")
        self._max_batch_size = max_batch_size
        self._max_latency = max_latency
        self._in_flight = in_flight or InFlight(1)
        self._model = LatencyModel()
        self._requests: OrderedDict[int, Waiting] = OrderedDict()
        self._lines = Lines()
        self._retries: deque[Slice] = deque()
        self._running: dict[int, _Running] = {}
        self._arrivals = self._batches = 0
        self._crowd = self._arrived_before = self._seen = self._turns = 0
        self._woken_soon = False
        self._woken_later = math.inf

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._requests and not self._running

    def submit(
        self, request_id: int, size: int, now: float, kind: Hashable = None
    ) -> list[Command]:
        """Queue a request of ``size`` items (0 is allowed: it rides along with others, or alone).

        Only requests of equal ``kind`` run in one batch. Nothing is dispatched before the driver's
        next ``wake``, so that requests that arrive in the same instant share a batch.
        """
        if size < 0 or request_id in self._requests:
            raise ValueError(f"request {request_id} of size {size} cannot be queued")
        prompt = self._has_room() and not self._waits()
        self._arrivals += 1
        deadline = now + self._max_latency
        request = Waiting(request_id, self._arrivals, size, kind, now, deadline, prompt)
        self._requests[request_id] = request
        self._lines.add(request)
        return self._ask(now)

    def submit_alone(self, request_id: int, size: int, now: float) -> Dispatch | None:
        """Start a lone client's next request at once; None if others came, or may have.

        Like :meth:`submit` otherwise.
        """
        if self._crowd != 1 or not self.idle or not 0 < size <= self._max_batch_size:
            return None
        self._arrivals += 1
        request = Waiting(request_id, self._arrivals, size, None, now, math.inf, True, False, size)
        self._requests[request_id] = request
        return self._dispatch_alone(request, now)

    def wake(self, now: float) -> list[Command]:
        """Expire what is due, then dispatch while there is work and the callee is free."""
        self._woken_soon = False
        if self._woken_later <= now:
            self._woken_later = math.inf
        commands: list[Command] = list(self._expire(now))
        if self._gathers(now):
            self._woken_soon = True
            return [*commands, WakeAt(now)]
        held = -math.inf
        while held <= now and self._has_room() and self._waits():
            held = self._hold()
            if held <= now:
                commands.append(self._start(now))
        return commands + self._ask(now, held)

    def finished(self, batch_id: int, now: float) -> list[Command]:
        """A batch was answered."""
        ended = self._running.pop(batch_id)
        seconds = now - ended.since
        self._model.observe(ended.items, seconds)
        self._in_flight.ended(ended.items, seconds, ended.beside, self._max_batch_size)
        for request_id, start, stop in ended.batch:
            request = self._requests.get(request_id)
            if request is not None:
                request.answered += stop - start
                if request.answered == request.size:
                    self._forget(request)
        return self._ask(now)

    def failed(self, batch_id: int, now: float) -> list[Command]:
        """A batch raised an error.

        Its members run once more, each by itself, so that one that cannot be answered fails alone.
        """
        ended = self._running.pop(batch_id)
        alive = [piece for piece in ended.batch if piece.request_id in self._requests]
        if len(ended.batch) > 1:
            self._retries.extend(alive)
            return self._ask(now)
        for piece in alive:
            self.cancel(piece.request_id)
        return [*(Fail(piece.request_id) for piece in alive), *self._ask(now)]

    def cancel(self, request_id: int) -> None:
        """Forget a request: nothing of it starts any more. Unknown and ended ones are ignored."""
        request = self._requests.get(request_id)
        if request is not None:
            self._forget(request)

    def drain(self) -> list[int]:
        """Forget every request of which nothing has run, and return their ids."""
        dropped = [request for request in self._requests.values() if not request.started]
        for request in dropped:
            self._forget(request)
        return [request.request_id for request in dropped]

    def _forget(self, request: Waiting) -> None:
        del self._requests[request.request_id]
        self._lines.remove(request)
        if self._retries:
            others = (each for each in self._retries if each.request_id != request.request_id)
            self._retries = deque(others)

    def _expire(self, now: float) -> list[Expire]:
        late: list[Waiting] = []
        # Every request has the same time, so deadlines rise in the order of arrival; those that
        # have none are few.
        for request in self._requests.values():
            if request.deadline <= now:
                late.append(request)
            elif request.deadline < math.inf:
                break
        for request in late:
            self._forget(request)
        return [Expire(request.request_id) for request in late]

    def _first_deadline(self) -> float:
        for request in self._requests.values():
            if request.deadline < math.inf:
                return request.deadline
        return math.inf

    def _has_room(self) -> bool:
        return len(self._running) < self._in_flight.limit

    def _waits(self) -> bool:
        return bool(self._retries) or bool(self._lines)

    def _start(self, now: float) -> Dispatch | Expire:
        if self._retries:
            return self._dispatch((self._retries.popleft(),), now)
        line = self._lines.oldest()
        head = line.head
        room = self._room(line, now)
        if room is None:
            self._forget(head)
            return Expire(head.request_id)
        batch = self._lines.take(line, room, self._max_batch_size)
        if len(batch) == 1 and head.prompt:
            head.deadline = math.inf
        self._crowd, self._arrived_before = self._arrivals - self._arrived_before, self._arrivals
        return self._dispatch(batch, now)

    def _dispatch_alone(self, request: Waiting, now: float) -> Dispatch:
        request.started = True
        self._seen, self._turns = self._arrivals, _TURNS
        self._crowd, self._arrived_before = self._arrivals - self._arrived_before, self._arrivals
        return self._dispatch((Slice(request.request_id, 0, request.size),), now)

    def _dispatch(self, batch: tuple[Slice, ...], now: float) -> Dispatch:
        beside = len(self._running) + 1
        for other in self._running.values():
            other.beside = max(other.beside, beside)
        self._batches += 1
        items = sum([stop - start for _, start, stop in batch])
        self._running[self._batches] = _Running(batch, items, now, beside)
        return Dispatch(self._batches, batch)

    def _room(self, line: Line, now: float) -> int | None:
        """Items of the next batch at most; None if its oldest request is to be refused."""
        largest = self._max_batch_size
        full = min(line.items, largest)
        left = line.head.deadline - now
        untried = len(self._lines) == 1 and left >= _FRESH * self._max_latency
        if untried or self._model.predict(full) <= left:
            return largest
        room = min(self._model.largest_within(left), largest)
        if full > self._model.largest:
            # What a larger batch than any before takes is a guess, and only trying makes it better.
            return min(max(room, 2 * self._model.largest), largest)
        if room < min(line.head.left, largest):
            return None
        # Less than half of what waits is worth a batch only if the rest does not pay for it.
        return room if 2 * room >= full or self._rest_in_time(line, room, now) else None

    def _rest_in_time(self, line: Line, room: int, now: float) -> bool:
        behind = line.behind(room)
        rest = min(line.items - room, self._max_batch_size)
        seconds = self._model.predict(room) + self._model.predict(rest)
        return behind is None or now + seconds <= behind.deadline

    def _gathers(self, now: float) -> bool:
        """Whether to wake again at once, since requests are just being read.

        Those that lie unread would form a batch of their own, and two cost more than one. So as
        long as each turn brought more, the next is awaited too, but never longer than the batch
        will take; a lone client's request never waits.
        """
        came, self._seen = self._arrivals > self._seen, self._arrivals
        self._turns = _TURNS if came else self._turns - 1
        if self._crowd <= 1 or self._retries or not self._has_room() or not self._lines:
            return False
        line = self._lines.oldest()
        seconds = self._model.predict(line.items)
        is_short = now - line.head.arrived < seconds <= self._max_latency / 2
        return is_short and self._turns > 0 and line.items < self._max_batch_size

    def _hold(self) -> float:
        """The time until which the next batch waits for more requests; in the past if it does not.

        Where a batch takes more than half of the limit, who comes just after one has begun cannot
        be answered in time any more. So as many as came between the last batches are awaited, for
        half of the time that the oldest has to spare; a lone client's request never waits.
        """
        if self._crowd <= 1 or self._retries or not self._model.known:
            return -math.inf
        line = self._lines.oldest()
        seconds = self._model.predict(line.items)
        gathered = len(line) >= self._crowd or line.items >= self._max_batch_size
        if gathered or 2 * seconds <= self._max_latency:
            return -math.inf
        return line.head.arrived + (self._max_latency - seconds) / 2

    def _ask(self, now: float, held: float = -math.inf) -> list[Command]:
        if self._woken_soon or not self._requests:
            return []
        if held <= now and self._has_room() and self._waits():
            self._woken_soon = True
            return [WakeAt(now)]
        later = self._first_deadline()
        if held > now:
            later = min(later, held)
        if later < self._woken_later:
            self._woken_later = later
            return [WakeAt(later)]
        return []
