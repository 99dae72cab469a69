"""What a function did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from bentofn.adapters.local.bills import Bill


@dataclass
class Stats:
    """What a function did since the platform started; revisions of it share one.

    ``last_failure`` says why its last start failed, and is empty where that did not.
    """

    requests: int = 0
    refused: int = 0
    largest_batch: int = 0
    last_start_ms: float | None = None
    last_failure: str = ""
    starts: Counter[str] = field(default_factory=Counter)
    bills: list[Bill] = field(default_factory=list)

    def cost(self, profile: str, now: float) -> float:
        """What a backend would have charged so far for what ran by its rules.

        Args:
            profile: The backend's.
            now: The clock's monotonic time.
        """
        return sum(bill.cost(now) for bill in self.bills if bill.profile == profile)
