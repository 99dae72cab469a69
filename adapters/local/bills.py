"""What a version of a function would have cost, told to the journal as it comes up."""

from __future__ import annotations

from collections.abc import Sequence

from bentofn.adapters.local.core.billing import NoPrice
from bentofn.adapters.local.core.messages import Command, Event
from bentofn.adapters.local.core.profile import Profile
from bentofn.adapters.local.journal.events import Cost
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.protocol import FunctionSpec


class Bill:
    """Adds up by the rules of a profile.

    Args:
        profile: Whose price.
        spec: What is billed.
        journal: Is told of each sum.
    """

    def __init__(self, profile: Profile, spec: FunctionSpec, journal: Journal) -> None:
        self.profile = profile.name
        self._free = isinstance(profile.price.rule, NoPrice)
        self._meter = profile.price.rule.meter(profile.size(spec.settings))
        self._currency = profile.price.currency
        self._function = spec.name
        self._journal = journal
        self._told = 0.0

    def take(self, event: Event, commands: Sequence[Command], now: float) -> None:
        """Take in what the pool was told and what it answered."""
        if self._free:
            return
        self._meter.handle(event, now)
        for command in commands:
            self._meter.handle(command, now)
        cost = self._meter.cost(now)
        if cost > self._told:
            amount, self._told = cost - self._told, cost
            self._journal.publish(Cost(self._journal.now(), self._function, amount, self._currency))

    def cost(self, now: float) -> float:
        """What it comes to, in the profile's currency; ``now`` is the clock's monotonic time."""
        return self._meter.cost(now)
