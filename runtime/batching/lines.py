"""What waits for a batch: one line for each kind, in order of arrival."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True)
class Slice:
    """Items ``start:stop`` of one request."""

    request_id: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of its items."""
        return self.stop - self.start


@dataclass
class Waiting:
    """A request that is not answered yet.

    Args:
        request_id: Its name.
        number: Its place in the order of arrival.
        size: Its items.
        kind: What it can share a batch with: requests of the same kind.
        arrived: When it came.
        deadline: When it is late.
        prompt: Whether it found a free place and nobody before it.
        started: Whether any of it was handed out.
        taken: Its items that were handed out.
        answered: Its items that were answered.
    """

    request_id: int
    number: int
    size: int
    kind: Hashable
    arrived: float
    deadline: float
    prompt: bool
    started: bool = False
    taken: int = 0
    answered: int = 0

    @property
    def left(self) -> int:
        """Items that still wait."""
        return self.size - self.taken


class Line:
    """Requests of one kind, the oldest first."""

    def __init__(self) -> None:
        self._requests: OrderedDict[int, Waiting] = OrderedDict()
        self.items = 0

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def head(self) -> Waiting:
        """The oldest request."""
        return next(iter(self._requests.values()))

    def add(self, request: Waiting) -> None:
        """A request joins at the end."""
        self._requests[request.request_id] = request
        self.items += request.left

    def remove(self, request: Waiting) -> None:
        """A request leaves, wherever it stands; one that is not here is ignored."""
        if self._requests.pop(request.request_id, None) is not None:
            self.items -= request.left

    def take(self, room: int, largest: int) -> tuple[Slice, ...]:
        """The next batch, in order of arrival.

        Args:
            room: Its items; the first request is taken even if it alone has more.
            largest: Items from which on a request is torn; any smaller one is taken whole.
        """
        batch: list[Slice] = []
        while self._requests:
            head = self.head
            torn = head.size > largest
            if batch and head.left > room and (not torn or room < 1):
                break
            count = min(head.left, max(room, 1)) if torn else head.left
            batch.append(Slice(head.request_id, head.taken, head.taken + count))
            head.started = True
            head.taken += count
            room -= count
            self.items -= count
            if not head.left:
                del self._requests[head.request_id]
        return tuple(batch)

    def behind(self, room: int) -> Waiting | None:
        """The first request that a batch of ``room`` items would leave."""
        for request in self._requests.values():
            room -= request.left
            if room < 0:
                return request
        return None


class Lines:
    """The lines of all kinds."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, Line] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def add(self, request: Waiting) -> None:
        """A request joins the line of its kind."""
        self._lines.setdefault(request.kind, Line()).add(request)

    def remove(self, request: Waiting) -> None:
        """A request leaves; one that is not in a line is ignored."""
        line = self._lines.get(request.kind)
        if line is not None:
            line.remove(request)
            self._drop_if_empty(request.kind)

    def oldest(self) -> Line:
        """The line whose head came first, so that no kind holds up another."""
        return min(self._lines.values(), key=lambda line: line.head.number)

    def take(self, line: Line, room: int, largest: int) -> tuple[Slice, ...]:
        """:meth:`Line.take`."""
        kind = line.head.kind
        batch = line.take(room, largest)
        self._drop_if_empty(kind)
        return batch

    def _drop_if_empty(self, kind: Hashable) -> None:
        if not self._lines[kind]:
            del self._lines[kind]
