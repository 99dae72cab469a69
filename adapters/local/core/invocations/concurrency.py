"""How many invocations of a function, and of all functions, run at a time.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html and, for the rate,
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

LEAST_UNRESERVED = 100
"""How much concurrency must be left to functions that reserve none, in an account that has it."""

RATE = 10
"""Invocations with a caller that waits that a function may begin in a second, for each that it may
have at a time."""

Throttle = Literal["account", "reserved", "rate", "reserved-rate"]


class Concurrency:
    """Counts what runs, and says where no more may.

    Args:
        account: Invocations of all functions at a time.
    """

    def __init__(self, account: int) -> None:
        self.account = account
        self.least = min(LEAST_UNRESERVED, account)
        """How much must be left to functions that reserve none."""
        self._reserved: dict[str, int] = {}
        self._running: Counter[str] = Counter()
        self._begun: dict[str, tuple[float, float]] = {}
        """What of its rate a function has left, and when that was."""

    def reserve(self, function: str, amount: int | None) -> bool:
        """Set what is a function's own, None for nothing; False if too little were left."""
        if amount is None:
            self._reserved.pop(function, None)
            return True
        if not self.fits(function, amount):
            return False
        self._reserved[function] = amount
        return True

    def fits(self, function: str, amount: int) -> bool:
        """Whether enough is left to others if this much is a function's own."""
        others = sum(a for name, a in self._reserved.items() if name != function)
        return not amount or self.account - others - amount >= self.least

    def reserved(self, function: str) -> int | None:
        """What is a function's own, if anything."""
        return self._reserved.get(function)

    def reserving(self) -> tuple[str, ...]:
        """The functions that have some of their own."""
        return tuple(self._reserved)

    @property
    def unreserved(self) -> int:
        """What is left to functions that reserve none."""
        return self.account - sum(self._reserved.values())

    def begin(self, function: str, now: float | None = None) -> Throttle | None:
        """An invocation wants to run; why it may not, or None and it is counted until the end.

        Args:
            function: Whose.
            now: Seconds on any monotonic clock; None where nobody waits, for which there is no
                rate.
        """
        own = self._reserved.get(function)
        if own is not None and self._running[function] >= own:
            return "reserved"
        if own is None and self._shared() >= self.unreserved:
            return "account"
        rate = RATE * (self.unreserved if own is None else own)
        if now is not None and not self._within_rate(function, rate, now):
            return "rate" if own is None else "reserved-rate"
        self._running[function] += 1
        return None

    def forget(self, function: str) -> None:
        """A function is no more; what of it still runs is counted until its end."""
        self._reserved.pop(function, None)
        self._begun.pop(function, None)

    def end(self, function: str) -> None:
        """An invocation that was counted is over."""
        self._running[function] -= 1
        if not self._running[function]:
            del self._running[function]

    def _within_rate(self, function: str, rate: float, now: float) -> bool:
        left, since = self._begun.get(function, (rate, now))
        left = min(rate, left + rate * (now - since))
        allowed = left >= 1
        self._begun[function] = (left - 1 if allowed else left, now)
        return allowed

    def _shared(self) -> int:
        """How much of what is left to all runs."""
        return sum(n for name, n in self._running.items() if name not in self._reserved)
