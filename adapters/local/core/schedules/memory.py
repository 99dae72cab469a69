"""What must be remembered of a schedule while nothing runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pending:
    """A run that is not delivered yet.

    Args:
        scheduled: For when.
        attempt: The try that comes next, from 1.
        at: When to try.
    """

    scheduled: float
    attempt: int
    at: float


@dataclass(frozen=True)
class Memory:
    """One schedule's. Moments are seconds since the epoch.

    Args:
        key: What tells whether it still is the same schedule.
        anchor: The time from which a rate counts.
        last: The latest time that was taken up; all before it is settled or pending.
        pending: Runs that are not delivered yet.
        fired: When it was last fired, or None.
        outcome: What became of that.
        done: Whether it will not come again.
    """

    key: str
    anchor: float
    last: float
    pending: tuple[Pending, ...] = ()
    fired: float | None = None
    outcome: str = ""
    done: bool = False

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Memory:
        """Read the ``dataclasses.asdict`` form."""
        pending = tuple(Pending(**each) for each in raw["pending"])
        return cls(**{**raw, "pending": pending})

    def at(self, last: float) -> Memory:
        """With the times up to this one taken up."""
        return dataclasses.replace(self, last=last)

    def having(self, pending: Pending) -> Memory:
        """With a run more."""
        return dataclasses.replace(self, pending=(*self.pending, pending))

    def without(self, scheduled: float, outcome: str) -> Memory:
        """With a run less, and what became of it."""
        pending = tuple(each for each in self.pending if each.scheduled != scheduled)
        return dataclasses.replace(self, pending=pending, outcome=outcome)

    def fired_at(self, moment: float) -> Memory:
        """Fired now."""
        return dataclasses.replace(self, fired=moment)

    def over(self) -> Memory:
        """Not to come again."""
        return dataclasses.replace(self, done=True)

    def not_after(self, now: float, *, keep_anchor: bool) -> Memory:
        """With nothing settled or put off that is later than now."""
        return dataclasses.replace(
            self,
            anchor=self.anchor if keep_anchor else min(self.anchor, now),
            last=min(self.last, now),
            pending=tuple(
                dataclasses.replace(each, at=now) if each.scheduled > now else each
                for each in self.pending
            ),
        )
