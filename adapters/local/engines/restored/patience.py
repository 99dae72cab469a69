"""When what failed is tried again: later each time, and not for ever."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field

RETRY_AFTER = (1.0, 10.0, 60.0)
"""Seconds from each failure to the next attempt; after one more there is none."""


@dataclass
class Patience:
    """Decides; times are in seconds on any clock that does not go back.

    Args:
        failures: How often it was tried in vain.
        not_before: When it may be tried again.
        reason: Why it failed last.
    """

    failures: int = 0
    not_before: float = -math.inf
    reason: str = ""

    @property
    def exhausted(self) -> bool:
        """Whether it is not tried again."""
        return self.not_before == math.inf

    def allows(self, now: float) -> bool:
        """Whether to try now."""
        return now >= self.not_before

    def failed(self, now: float, *, lasting: bool, reason: str = "") -> bool:
        """It was tried in vain; says whether it is given up now.

        Of several that tried at once the first counts.

        Args:
            now: The time.
            lasting: Whether it would fail for the same reason again.
            reason: That reason.
        """
        if self.exhausted or not (lasting or self.allows(now)):
            return False
        self.reason = reason
        if lasting or self.failures == len(RETRY_AFTER):
            self.not_before = math.inf
        else:
            self.not_before = now + RETRY_AFTER[self.failures]
        self.failures += 1
        return self.exhausted

    def succeeded(self) -> None:
        """It was done: what comes later is another matter."""
        self.failures, self.not_before, self.reason = 0, -math.inf, ""


@dataclass
class Asked:
    """What became of a question for a zygote.

    Args:
        recall: Looks whether one is kept.
        recalls: How often that may be done.
        takes: How often one may be taken.
    """

    recall: asyncio.Task[None] | None = None
    recalls: Patience = field(default_factory=Patience)
    takes: Patience = field(default_factory=Patience)
