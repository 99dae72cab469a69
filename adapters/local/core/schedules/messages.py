"""What an agenda is told and what it answers. Moments are seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """A call of the function that a schedule asks for.

    Args:
        schedule: The schedule's name.
        scheduled: For when.
        attempt: 1, and one more with each retry.
    """

    schedule: str
    scheduled: float
    attempt: int = 1


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True)
class Delivered:
    """The function took a run."""

    run: Run


@dataclass(frozen=True)
class Failed:
    """The function did not take a run.

    Args:
        run: It.
        reason: Why.
        lasting: Whether it would not take it another time either.
    """

    run: Run
    reason: str
    lasting: bool = False


Event = Tick | Delivered | Failed


@dataclass(frozen=True)
class Fire:
    """Call the function; answered by Delivered or Failed."""

    run: Run


@dataclass(frozen=True)
class Drop:
    """A run is given up."""

    run: Run
    reason: str


@dataclass(frozen=True)
class Skip:
    """Runs before a moment were missed, and are too old to be made up for."""

    schedule: str
    before: float


@dataclass(frozen=True)
class Complete:
    """A schedule will not come again; ``delete`` says whether it is forgotten."""

    schedule: str
    delete: bool


@dataclass(frozen=True)
class WakeAt:
    """Send a Tick at this moment; it replaces an earlier WakeAt."""

    moment: float


Command = Fire | Drop | Skip | Complete | WakeAt
