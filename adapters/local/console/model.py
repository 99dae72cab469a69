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
    """Lanes, and what concerns all of them; :meth:`add` is to be attached to the journal.

    Args:
        journal: The journal.
        figures: Attached to it too, before this one.
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

    def add(self, event: events.Event) -> None:
        """Take in an event."""
        if isinstance(event, events.Destroyed):
            self._forget(event.function)
            return
        lane = self.lanes.get(event.function)
        if lane is None:
            lane = self.lanes[event.function] = Lane(event.function, self.pace)
        count = lane.changed = self._journal.count
        match event:
            case events.RequestAnswered():
                lane.answered(event, count)
                self.took.append((event.at, event.ended - event.queued))
            case events.RequestArrived():
                lane.arrived(event)
            case events.InstanceChanged():
                lane.instance_changed(event, count)
            case events.RequestQueued():
                second = lane.second(event.at)
                waiting = len(self._figures.of(event.function).waiting)
                second.waiting = max(second.waiting, waiting)
            case events.RequestRefused():
                lane.refused(event, count)
            case events.Fired():
                lane.fires.append(event)

    def figures(self, function: str) -> FunctionFigures:
        """A function's figures; empty ones of a function that did nothing."""
        return self._figures.functions.get(function) or FunctionFigures()

    def all_figures(self) -> Iterator[FunctionFigures]:
        """Those of all functions."""
        return iter(self._figures.functions.values())

    def _forget(self, function: str) -> None:
        for name in [n for n in self.lanes if n == function or n.startswith(f"{function}.")]:
            del self.lanes[name]
            self.removed.append((self._journal.count, name))
