"""What an autoscaler is told, what it answers, and how a rule makes one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Metrics(NamedTuple):
    """A function at one moment.

    Args:
        queued: Requests that wait for an instance.
        running: Requests that instances have, which serve and take more.
        ready: Instances that serve and take more.
        starting: Instances that do not serve yet.
        arrived: Requests that came so far, refused ones too.
        started: Instances that were started so far.
        oldest: When the request came that waits longest; None where none waits.
    """

    queued: int = 0
    running: int = 0
    ready: int = 0
    starting: int = 0
    arrived: int = 0
    started: int = 0
    oldest: float | None = None

    @property
    def demand(self) -> int:
        """Requests that wait or run."""
        return self.queued + self.running

    @property
    def active(self) -> int:
        """Instances that serve or will."""
        return self.ready + self.starting


class Scale(NamedTuple):
    """How many instances are wanted, those that start included.

    Args:
        least: Fewer are too few: others are started.
        most: More are too many: some are stopped, whether they are idle or not. Where it is
            infinite, an instance is stopped once it was idle for the function's idle timeout.
    """

    least: int
    most: float = math.inf


@dataclass(frozen=True)
class Bounds:
    """What an autoscaler has to know of the function.

    Args:
        concurrency: Requests that an instance takes at a time.
        asked: The concurrency that the function's own settings name, or None.
        minimum: Instances kept without requests.
        maximum: Instances at most.
    """

    concurrency: int
    asked: int | None
    minimum: int
    maximum: int


class Autoscaler(Protocol):
    """Decides on a number of instances; does nothing itself.

    Times are seconds on any one monotonic clock. Each method may be called at any time, in this
    order; what is decided is kept within the function's bounds by the pool.
    """

    def observe(self, metrics: Metrics, now: float) -> None:
        """The function is so from now on, until the next call."""

    def desired(self, now: float) -> Scale:
        """How many instances there should be."""

    def wake(self, now: float) -> float:
        """When to ask again, should nothing happen before; infinite where that needs no answer."""


class ScalingRule(Protocol):
    """The constants of one rule of scaling."""

    def autoscaler(self, bounds: Bounds) -> Autoscaler:
        """A new autoscaler for a function that is at zero."""
