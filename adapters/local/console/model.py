"""What the console shows, kept up to date by the journal."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from bentofn.adapters.local.console.lanes import Lane
from bentofn.adapters.local.journal import events
from bentofn.adapters.local.journal.figures import Figures, FunctionFigures
from bentofn.adapters.local.journal.journal import Journal

RECENT = 1000
"""Requests of all functions from which the time that they take is told."""
REMOVED = 2000
"""Functions that were destroyed and are remembered, for the pages that still show them."""


class Model:
    """Lanes, and what concerns all of them.

    Args:
        journal: Where they are read.
        figures: Of the same journal, and made before.
        pace: Seconds of the platform's time in one of the wall's.
    """

    def __init__(self, journal: Journal, figures: Figures, pace: float = 1.0) -> None:
        self.lanes: dict[str, Lane] = {}
        self.removed: deque[tuple[int, str]] = deque(maxlen=REMOVED)
        """The journal's count, and a function that was destroyed then."""
        self.took: deque[tuple[float, float]] = deque(maxlen=RECENT)
        """When a request was answered, and the seconds that it took."""
        self.pace = pace
        self._journal = journal
        self._figures = figures
        journal.attach(self._arrived, events.RequestArrived)
        journal.attach(self._answered, events.RequestAnswered)
        journal.attach(self._refused, events.RequestRefused)
        journal.attach(self._queued, events.RequestQueued)
        journal.attach(self._changed, events.InstanceChanged)
        journal.attach(self._fired, events.Fired)
        journal.attach(self._lane, events.Deployed, events.Cost, events.Invoked)
        journal.attach(self._forget, events.Destroyed)

    def _lane(self, event: events.Event) -> Lane:
        """The lane that an event changes."""
        lane = self.lanes.get(event.function)
        if lane is None:
            lane = self.lanes[event.function] = Lane(event.function, self.pace)
        lane.changed = self._journal.count
        return lane

    def _arrived(self, event: events.RequestArrived) -> None:
        self._lane(event).arrived(event)

    def _answered(self, event: events.RequestAnswered) -> None:
        self._lane(event).answered(event)
        self.took.append((event.at, event.ended - event.queued))

    def _refused(self, event: events.RequestRefused) -> None:
        self._lane(event).refused(event)

    def _queued(self, event: events.RequestQueued) -> None:
        second = self._lane(event).second(event.at)
        second.waiting = max(second.waiting, len(self._figures.of(event.function).waiting))

    def _changed(self, event: events.InstanceChanged) -> None:
        self._lane(event).instance_changed(event)

    def _fired(self, event: events.Fired) -> None:
        self._lane(event).fires.append(event)

    def _forget(self, event: events.Destroyed) -> None:
        inner = f"{event.function}."
        for name in [n for n in self.lanes if n == event.function or n.startswith(inner)]:
            del self.lanes[name]
            self.removed.append((self._journal.count, name))

    def figures(self, function: str) -> FunctionFigures:
        """A function's figures; empty ones of a function that did nothing."""
        return self._figures.functions.get(function) or FunctionFigures()

    def all_figures(self) -> Iterator[FunctionFigures]:
        """Those of all functions."""
        return iter(self._figures.functions.values())
