"""How often and how long an asynchronous invocation is tried.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

from dataclasses import dataclass

from bentofn.adapters.event_rules import LONGEST_AGE, MOST_RETRIES

RETRY_DELAYS = (60.0, 120.0)
"""Seconds before the first and the second retry of an event whose function failed."""
FIRST_BACKOFF, LONGEST_BACKOFF = 1.0, 300.0
"""Seconds before an event that was throttled is tried again; doubled each time."""


@dataclass(frozen=True)
class Policy:
    """What holds for the events of a function.

    Args:
        retries: Times that an event is tried again after the function failed, 0 to 2.
        age: Seconds after which an event is given up, 60 to 21,600.
        on_success: ARN of where the record of an answered event goes, or None.
        on_failure: ARN of where the record of a given-up event goes, or None.
    """

    retries: int = MOST_RETRIES
    age: float = LONGEST_AGE
    on_success: str | None = None
    on_failure: str | None = None


def backoff(throttles: int) -> float:
    """Seconds until an event is tried again.

    Args:
        throttles: Times in a row that it could not be run, from 1.
    """
    return min(FIRST_BACKOFF * 2.0 ** min(throttles - 1, 16), LONGEST_BACKOFF)
