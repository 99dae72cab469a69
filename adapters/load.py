"""How much a function is called, as a price is asked for: ``100/day,0.2s``."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from bentofn.runtime.errors import UserError

MONTH = 730 * 3600.0
"""Seconds of a month, as clouds count it: 730 hours.
Source: https://aws.amazon.com/calculator/calculator-assumptions/
"""

_SECONDS = {
    "s": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0,
    "day": 86400.0, "week": 7 * 86400.0, "month": MONTH,
}  # fmt: skip
_TEXT = re.compile(
    r"\s*(?P<count>\d+(\.\d+)?)(?P<times>[kM]?)\s*/\s*(?P<period>[a-z]+)"
    r"(\s*,\s*(?P<duration>\d+(\.\d+)?)\s*(?P<unit>ms|s))?\s*\Z"
)
_DURATION = 0.2


@dataclass(frozen=True)
class Load:
    """Requests that come by chance, evenly over the month.

    Args:
        per_second: Requests in a second.
        duration: Seconds that one takes.
    """

    per_second: float
    duration: float = _DURATION

    @classmethod
    def parse(cls, text: str) -> Load:
        """Read ``COUNT/PERIOD[,DURATION]``: ``100/day``, ``5/s,80ms``, ``2M/month,0.2s``.

        Raises:
            UserError: It is something else.
        """
        found = _TEXT.match(text)
        if found is None or found["period"] not in _SECONDS:
            raise UserError(
                f"The load {text!r} is not COUNT/PERIOD,DURATION; write it as 100/day,0.2s "
                f"(periods: {', '.join(_SECONDS)})."
            )
        count = float(found["count"]) * {"": 1.0, "k": 1e3, "M": 1e6}[found["times"]]
        duration = _DURATION
        if found["duration"]:
            duration = float(found["duration"]) / (1000 if found["unit"] == "ms" else 1)
        return cls(count / _SECONDS[found["period"]], duration)

    @property
    def per_month(self) -> float:
        """Requests in a month."""
        return self.per_second * MONTH

    def __str__(self) -> str:
        return f"{self.per_second * 86400:,.6g} requests a day of {self.duration:g} s each"

    def instance_seconds(
        self, idle_timeout: float, concurrency: int = 1, least: int = 0, start: float = 0.0
    ) -> float:
        """Seconds of instances in a month, on a target that charges for idle ones too.

        With arrivals by chance, an instance is there while somebody came within the time that it
        stays: a share 1 - exp(-rate * stay) of the month. Above one instance's worth of work
        there are as many as the work fills.

        Args:
            idle_timeout: Seconds that an instance stays after its last request.
            concurrency: Requests that it takes at a time.
            least: Instances that are kept without requests.
            start: Seconds of its start that are charged.
        """
        stay = self.duration + idle_timeout
        there = 1 - math.exp(-self.per_second * stay)
        work = self.per_second * self.duration / concurrency
        # A start comes before each time that one is there; such times end when nobody came.
        starts = self.per_second * math.exp(-self.per_second * stay)
        return MONTH * (max(there, work, least) + (0.0 if least else starts * start))
