"""What waits for a batch: one line for each kind, in order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple


class Slice(NamedTuple):
    """Items ``start:stop`` of one request."""

    request_id: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of its items."""
        return self.stop - self.start


@dataclass(slots=True)
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
        in_line: Whether something of it still waits.
        taken: Its items that were handed out.
        answered: Its items that were answered.
        started: Whether any of it was handed out.
    """

    request_id: int
    number: int
    size: int
    kind: Hashable
    arrived: float
    deadline: float
    prompt: bool
    in_line: bool = True
    taken: int = 0
    answered: int = 0
    started: bool = False

    @property
    def left(self) -> int:
        """Items that still wait."""
        return self.size - self.taken


class Line:
    """Requests of one kind, the oldest first."""

    def __init__(self) -> None:
        self._queue: deque[Waiting] = deque()
        self._count = 0
        self.items = 0

    def __len__(self) -> int:
        return self._count

    @property
    def head(self) -> Waiting:
        """The oldest request."""
        while not self._queue[0].in_line:
            self._queue.popleft()
        return self._queue[0]

    def add(self, request: Waiting) -> None:
        """A request joins at the end."""
        self._queue.append(request)
        self._count += 1
        self.items += request.size

    def remove(self, request: Waiting) -> None:
        """A request that stands in the line leaves it, wherever it stands."""
        request.in_line = False
        self._count -= 1
        self.items -= request.left

    def take(self, room: int, largest: int) -> tuple[Slice, ...]:
        """The next batch, in order of arrival.

        Args:
            room: Its items; the first request is taken even if it alone has more.
            largest: Items from which on a request is torn; any smaller one is taken whole.
        """
        batch: list[Slice] = []
        while self._count:
            head = self.head
            left = head.size - head.taken
            torn = head.size > largest
            if batch and left > room and (not torn or room < 1):
                break
            count = min(left, max(room, 1)) if torn else left
            batch.append(Slice(head.request_id, head.taken, head.taken + count))
            head.started = True
            head.taken += count
            room -= count
            self.items -= count
            if count == left:
                self.remove(head)
        return tuple(batch)

    def behind(self, room: int) -> Waiting | None:
        """The first request that a batch of ``room`` items would leave."""
        for request in self._queue:
            if request.in_line:
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
        line = self._lines.get(request.kind)
        if line is None:
            line = self._lines[request.kind] = Line()
        line.add(request)

    def remove(self, request: Waiting) -> None:
        """A request leaves; one of which nothing waits is ignored."""
        if request.in_line:
            line = self._lines[request.kind]
            line.remove(request)
            if not line:
                del self._lines[request.kind]

    def oldest(self) -> Line:
        """The line whose head came first, so that no kind holds up another."""
        if len(self._lines) == 1:
            return next(iter(self._lines.values()))
        return min(self._lines.values(), key=lambda line: line.head.number)

    def take(self, line: Line, room: int, largest: int) -> tuple[Slice, ...]:
        """:meth:`Line.take`."""
        kind = line.head.kind
        batch = line.take(room, largest)
        if not line:
            del self._lines[kind]
        return batch
