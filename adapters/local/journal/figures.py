"""What the functions did, in numbers: folded from the journal, so that nothing is counted twice."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from bentofn.adapters.local.journal import events
from bentofn.adapters.local.journal.journal import Journal

SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
"""Upper bounds of times, from a warm answer to a model that loads for minutes."""
ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Upper bounds of batch sizes."""


class Histogram:
    """How often a value was at most one of some bounds.

    Args:
        bounds: The bounds, ascending.
    """

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By the first bound that is not below the value; last, those above all bounds."""
        self.sum = 0.0
        self.largest = 0.0

    @property
    def count(self) -> int:
        """Values so far."""
        return sum(self.counts)

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
        if value > self.largest:
            self.largest = value


@dataclass
class FunctionFigures:
    """One function's.

    Args:
        version: Of the live deployment; 0 where it is not deployed.
        profile: The rules that hold for it.
        answered: Requests by their HTTP status.
        refused: Requests that the platform refused, by status; those with 429 are throttles.
        took: Seconds from a request's arrival to its end.
        waited: Seconds that requests waited for an instance.
        batches: Items of the batches that requests were answered in.
        starts: Seconds that starts took, by kind.
        failed_starts: Instances that ended before they could take a request.
        waiting: Requests that wait, by number.
        instances: The state of each instance.
        costs: What was billed, by currency.
        invocations: Asynchronous ones, by outcome.
        fired: Schedules' deliveries, by schedule and outcome.
    """

    version: int = 0
    profile: str = ""
    answered: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    took: Histogram = field(default_factory=Histogram)
    waited: Histogram = field(default_factory=Histogram)
    batches: Histogram = field(default_factory=lambda: Histogram(ITEMS))
    starts: dict[str, Histogram] = field(default_factory=dict)
    failed_starts: int = 0
    waiting: set[int] = field(default_factory=set)
    instances: dict[str, str] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    invocations: Counter[str] = field(default_factory=Counter)
    fired: Counter[tuple[str, str]] = field(default_factory=Counter)


class Figures:
    """All functions', by name.

    Args:
        journal: Where they are read.
    """

    def __init__(self, journal: Journal) -> None:
        self.functions: dict[str, FunctionFigures] = {}
        journal.attach(self._answered, events.RequestAnswered)
        journal.attach(self._assigned, events.RequestAssigned)
        journal.attach(self._changed, events.InstanceChanged)
        journal.attach(self._queued, events.RequestQueued)
        journal.attach(self._refused, events.RequestRefused)
        journal.attach(self._deployed, events.Deployed)
        journal.attach(self._destroyed, events.Destroyed)
        journal.attach(self._billed, events.Cost)
        journal.attach(self._invoked, events.Invoked)
        journal.attach(self._given_up, events.DeadLettered)
        journal.attach(self._fired, events.Fired)

    def of(self, function: str) -> FunctionFigures:
        """One function's."""
        found = self.functions.get(function)
        if found is None:
            found = self.functions[function] = FunctionFigures()
        return found

    def _answered(self, event: events.RequestAnswered) -> None:
        figures = self.of(event.function)
        figures.answered[event.status] += 1
        figures.took.add(event.ended - event.queued)
        figures.waited.add((event.started or event.ended) - event.queued)
        if event.batch_size is not None:
            figures.batches.add(event.batch_size)
        figures.waiting.discard(event.number)

    def _assigned(self, event: events.RequestAssigned) -> None:
        self.of(event.function).waiting.discard(event.number)

    def _queued(self, event: events.RequestQueued) -> None:
        self.of(event.function).waiting.add(event.number)

    def _refused(self, event: events.RequestRefused) -> None:
        figures = self.of(event.function)
        figures.refused[event.status] += 1
        figures.waiting.discard(event.number)

    def _changed(self, event: events.InstanceChanged) -> None:
        figures = self.of(event.function)
        if event.state == "gone":
            if figures.instances.pop(event.instance, None) in ("starting", "restoring"):
                figures.failed_starts += 1
            return
        figures.instances[event.instance] = event.state
        if event.took is not None:
            figures.starts.setdefault(event.kind, Histogram()).add(event.took)

    def _deployed(self, event: events.Deployed) -> None:
        figures = self.of(event.function)
        figures.version, figures.profile = event.version, event.profile

    def _destroyed(self, event: events.Destroyed) -> None:
        # Those of a function that is gone would be shown for ever.
        inner = f"{event.function}."
        for name in [n for n in self.functions if n == event.function or n.startswith(inner)]:
            del self.functions[name]

    def _billed(self, event: events.Cost) -> None:
        costs = self.of(event.function).costs
        costs[event.currency] = costs.get(event.currency, 0.0) + event.amount

    def _invoked(self, event: events.Invoked) -> None:
        self.of(event.function).invocations[event.outcome] += 1

    def _given_up(self, event: events.DeadLettered) -> None:
        self.of(event.function).invocations["dead-lettered"] += 1

    def _fired(self, event: events.Fired) -> None:
        self.of(event.function).fired[event.schedule, event.outcome] += 1
