"""When instances may be started again after some did not come to serve."""

from __future__ import annotations

import math


class Backoff:
    """Waits longer after each failed start. Times are in seconds.

    Args:
        attempts: Failed starts in a row after which it is given up.
        wait: Wait after the first one; doubled with each further one.
        hold: Wait before what nobody waits for is tried again, once it was given up.
    """

    def __init__(self, attempts: int, wait: float, hold: float) -> None:
        self.retry_at = -math.inf
        """When an instance may be started that a request waits for."""
        self.hold_until = -math.inf
        """When one may be that nobody waits for."""
        self._attempts = attempts
        self._wait = wait
        self._hold = hold
        self._failures = 0

    def served(self) -> None:
        """A start came to its end."""
        self._failures = 0
        self.retry_at = self.hold_until = -math.inf

    def failed(self, now: float) -> bool:
        """A start did not; whether it is given up."""
        self._failures += 1
        given_up = self._failures >= self._attempts
        wait = self._hold if given_up else self._wait * 2 ** (self._failures - 1)
        self.retry_at = self.hold_until = now + wait
        return given_up

    def afresh(self, now: float) -> None:
        """Nobody waits any more: who comes next finds it untried."""
        self._failures = 0
        self.retry_at = now

    def died(self, now: float) -> None:
        """One that served is gone: it must not be replaced in a tight loop."""
        self.hold_until = now + self._wait
