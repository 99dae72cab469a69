"""When what failed is tried again: later each time, and not for ever."""

from __future__ import annotations

import math
from dataclasses import dataclass

RETRY_AFTER = (1.0, 10.0, 60.0)
"""Seconds from each failure to the next attempt; after one more there is none."""


@dataclass
class Patience:
    """Decides; times are in seconds on any clock that does not go back."""

    failures: int = 0
    not_before: float = -math.inf

    def allows(self, now: float) -> bool:
        """Whether to try now."""
        return now >= self.not_before

    def failed(self, now: float, *, lasting: bool) -> None:
        """It was tried in vain.

        Args:
            now: The time.
            lasting: Whether it would fail for the same reason again.
        """
        if lasting or self.failures == len(RETRY_AFTER):
            self.not_before = math.inf
        else:
            self.not_before = now + RETRY_AFTER[self.failures]
        self.failures += 1
