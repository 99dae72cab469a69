"""How many batches run at the same time: a number, or learned from whether that helps."""

from __future__ import annotations

from bentofn.runtime.batching.latency import LatencyModel

_VOTES = 4
"""Batches that must agree, more than disagree, before the limit moves by one."""

_TRY_EVERY = 64
"""Batches side by side after which one runs alone, to know its time, or alone after which two may
run side by side again."""

_HELPED = 1.1
_HARMED = 1.25
"""Seconds of batches side by side, relative to those of one batch of all their items."""

_IN_TURN = 0.8
"""Share of the seconds that batches take one after another, from which on they gain nothing."""


class InFlight:
    """A limit of batches in flight.

    A fixed one suits threads: each runs a batch. What an async method awaits is not known: a remote
    model answers several batches as fast as one, a device takes them in turn and does better with
    one large batch. So it is learned: batches that ran side by side are compared with the one batch
    that could have held the items of all.

    Args:
        limit: Batches at a time, at first.
        most: Batches at a time, at most; without it the limit is fixed.
    """

    def __init__(self, limit: int, most: int | None = None) -> None:
        if limit < 1:
            raise ValueError("at least one batch must be allowed to run")
        self._limit = limit
        self._most = most
        self._alone = LatencyModel()
        self._measuring = False
        self._since_alone = self._since_shared = 0
        self._votes = 0

    @property
    def limit(self) -> int:
        """Batches that may run now."""
        return 1 if self._measuring else self._limit

    def ended(self, items: int, seconds: float, beside: int, largest: int) -> None:
        """Learn from a batch.

        Args:
            items: Its items.
            seconds: How long it ran.
            beside: Most batches that ran at a time meanwhile, itself included.
            largest: Items of a batch at most.
        """
        if self._most is None:
            return
        if beside == 1:
            self._alone.observe(items, seconds)
            self._since_alone = 0
            self._since_shared += 1
            self._measuring = self._measuring and not self._alone.known
        else:
            self._since_alone += 1
            self._since_shared = 0
            self._measuring = self._since_alone >= _TRY_EVERY
            self._compare(items, seconds, beside, largest)
        if self._limit == 1 and self._since_shared >= _TRY_EVERY:
            self._move(1)

    def _compare(self, items: int, seconds: float, beside: int, largest: int) -> None:
        if not self._alone.known:
            return
        full, rest = divmod(items * beside, largest)
        joined = full * self._alone.predict(largest) + (self._alone.predict(rest) if rest else 0)
        in_turn = beside * self._alone.predict(items)
        if seconds >= min(_IN_TURN * in_turn, _HARMED * joined):
            self._votes -= 1
        elif seconds <= _HELPED * joined and beside >= self._limit:
            self._votes += 1
        if abs(self._votes) >= _VOTES:
            self._move(1 if self._votes > 0 else -1)

    def _move(self, step: int) -> None:
        self._limit = min(max(self._limit + step, 1), self._most or 1)
        self._votes = self._since_shared = 0
