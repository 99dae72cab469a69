"""A schedule of a function and how it stands, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Method = Literal["eventBus", "scheduler"]

MOST_RETRIES = 185
"""EventBridge's bound and default for how often it tries again."""

LONGEST_AGE = 86_400
"""Seconds: EventBridge's bound and default for how long it tries."""


@dataclass(frozen=True)
class Schedule:
    """When a function is called by the clock, and with what. Moments are seconds since the epoch.

    Args:
        name: Its name among the function's.
        expression: ``rate(...)``, ``cron(...)`` or ``at(...)``.
        timezone: Whose clocks the expression goes by.
        method: EventBridge's rules (``eventBus``) or EventBridge Scheduler.
        enabled: Whether it runs.
        description: For people.
        input: JSON that the function gets; None for an event that says what happened.
        input_path: Which part of that event it gets.
        api: The endpoint that is called; None for the only one.
        start: Not before this moment; for a rate its first time.
        end: Not after this moment.
        window: Minutes within which a call may be put off.
        retries: Times that a failed call is tried again.
        longest_age: Seconds after which it is not.
        delete: Whether it is forgotten once it will not come any more.
    """

    name: str
    expression: str
    timezone: str = "UTC"
    method: Method = "eventBus"
    enabled: bool = True
    description: str = ""
    input: str | None = None
    input_path: str | None = None
    api: str | None = None
    start: float | None = None
    end: float | None = None
    window: int = 0
    retries: int = MOST_RETRIES
    longest_age: int = LONGEST_AGE
    delete: bool = False


@dataclass(frozen=True)
class ScheduleStatus:
    """One schedule of a function. Moments are seconds since the epoch, in the target's time.

    Args:
        name: Its name.
        expression: When it comes.
        timezone: By whose clocks.
        state: ``enabled``, ``disabled``, ``completed`` if it will not come any more, or ``stopped``
            with its platform.
        next: When it comes next; None if it does not.
        last: When it came last; None if it did not yet.
        outcome: What became of that: empty, ``delivered``, or why not.
    """

    name: str
    expression: str
    timezone: str
    state: str
    next: float | None = None
    last: float | None = None
    outcome: str = ""
