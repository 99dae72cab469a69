"""Requests that wait for an instance, in order of arrival, and for how long they may."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator

from bentofn.adapters.local.core.members import Members
from bentofn.adapters.local.core.overflow import OverflowRules


class Waiting:
    """A queue of requests.

    Args:
        rule: How long they may wait.
        members: The instances that they wait for.
    """

    def __init__(self, rule: OverflowRules, members: Members) -> None:
        self._rule = rule
        self._members = members
        self._impatient = rule.wait < math.inf or rule.wait_starts > 0
        self.arrivals: OrderedDict[int, float] = OrderedDict()
        """When each came."""

    def __len__(self) -> int:
        return len(self.arrivals)

    def __contains__(self, request: int) -> bool:
        return request in self.arrivals

    @property
    def oldest(self) -> float | None:
        """When the request came that waits longest; None where none waits."""
        return next(iter(self.arrivals.values()), None)

    def add(self, request: int, now: float) -> None:
        """A request waits from now on."""
        self.arrivals[request] = now

    def discard(self, request: int) -> None:
        """A request waits no more, if it did."""
        self.arrivals.pop(request, None)

    def take(self) -> int:
        """The request that waits longest; it waits no more."""
        return self.arrivals.popitem(last=False)[0]

    def take_all(self) -> Iterator[int]:
        """All of them, in order."""
        while self.arrivals:
            yield self.take()

    def expired(self, now: float) -> list[int]:
        """Those that have waited for too long; they wait no more."""
        expired = []
        while self._impatient and now >= self.expiry:
            expired.append(self.take())
        return expired

    @property
    def expiry(self) -> float:
        """When the next one has waited for too long; infinite where that cannot be."""
        if not (self._impatient and self.arrivals):
            return math.inf
        members = self._members
        starting = members.count("starting") > 0
        patience = self._rule.patience(members.average_start, starting=starting)
        return next(iter(self.arrivals.values())) + patience
