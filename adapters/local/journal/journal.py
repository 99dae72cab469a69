"""The platform's journal: events in their order, the latest of them kept in memory."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, get_args

from bentofn.adapters.local.journal.events import Event
from bentofn.adapters.local.journal.traces import Traces

SIZE = 8192
"""Events that are kept: some seconds of a busy platform, about 2 MB."""


@dataclass(frozen=True)
class Missed:
    """A reader was slower than the journal.

    Args:
        count: Events that it will not see.
    """

    count: int


class Journal:
    """Takes events in and gives them to who reads; belongs to one event loop.

    Args:
        now: The platform's time, in seconds since the epoch.
        size: Events that are kept.
    """

    def __init__(self, now: Callable[[], float] = time.time, size: int = SIZE) -> None:
        self.now = now
        self.traces: Traces | None = None
        """Who makes traces of the requests; None where nobody does."""
        self.numbers = itertools.count(1)
        """Of the requests."""
        self.count = 0
        """Events so far; the number of the latest, the first being 1."""
        self._kept: deque[Event] = deque(maxlen=size)
        self._folds: dict[type[Event], list[Callable[[Any], object]]] = {
            kind: [] for kind in get_args(Event)
        }
        self._waiting: list[asyncio.Future[None]] = []

    def publish(self, event: Event) -> None:
        """Append an event."""
        self.count += 1
        self._kept.append(event)
        for fold in self._folds[type(event)]:
            fold(event)
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                if not each.done():
                    each.set_result(None)

    def attach(self, fold: Callable[[Any], object], *kinds: type[Event]) -> None:
        """Have events from now on given to a function, at once.

        Args:
            fold: It must be quick, and what it raises reaches whoever published.
            kinds: Which events; all, where none is named.
        """
        for kind in kinds or get_args(Event):
            self._folds[kind].append(fold)

    def recent(self, after: int = 0) -> list[Event]:
        """The events that are kept, the oldest first.

        Args:
            after: Only those with a number greater than this one, as :attr:`count` has them.
        """
        oldest = self.count - len(self._kept)
        return list(itertools.islice(self._kept, max(0, after - oldest), None))

    async def subscribe(self, after: int | None = None) -> AsyncIterator[Event | Missed]:
        """Events as they come, for as long as somebody asks.

        Nothing is kept for a reader but the journal's own events: one that is slower gets a
        :class:`Missed` where some are gone.

        Args:
            after: Begin behind the event of this number; None for those to come.
        """
        seen = self.count if after is None else after
        while True:
            if seen >= self.count:
                fresh = asyncio.get_running_loop().create_future()
                self._waiting.append(fresh)
                await fresh
            found = self.recent(seen)
            if (missed := self.count - seen - len(found)) > 0:
                yield Missed(missed)
            seen = self.count
            for event in found:
                yield event
