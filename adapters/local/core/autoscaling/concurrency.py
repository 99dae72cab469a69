"""Cloud Run's rule: instances are kept filled to a share of their concurrency, over a minute.

Source: https://cloud.google.com/run/docs/about-instance-autoscaling
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bentofn.adapters.local.core.autoscaling.base import Bounds, Metrics, Scale
from bentofn.adapters.local.core.autoscaling.windows import Buckets, Level


@dataclass(frozen=True)
class ConcurrencyRule:
    """A request that finds no room starts an instance; so does a minute over the target.

    Args:
        target_share: The part of its concurrency that an instance is aimed at.
        window: Seconds of the average.
        interval: Seconds between two evaluations.
    """

    target_share: float
    window: float
    interval: float

    def autoscaler(self, bounds: Bounds) -> ConcurrencyAutoscaler:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.ScalingRule`."""
        return ConcurrencyAutoscaler(self, bounds.concurrency)


class ConcurrencyAutoscaler:
    """See :class:`ConcurrencyRule`. What it does not want any more goes by being idle.

    Args:
        rule: The constants.
        concurrency: Requests that an instance takes at a time.
    """

    def __init__(self, rule: ConcurrencyRule, concurrency: int) -> None:
        self._rule = rule
        self._concurrency = concurrency
        self._window = Buckets(rule.window)
        self._level = Level(self._window)
        self._metrics = Metrics()
        self._average_wants = 0
        self._tick_at = -math.inf

    def observe(self, metrics: Metrics, now: float) -> None:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        at_zero = not (metrics.demand or metrics.active)
        self._level.change(None if at_zero else metrics.demand, now)
        self._metrics = metrics

    def desired(self, now: float) -> Scale:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        if now >= self._tick_at:
            self._tick_at = now + self._rule.interval
            self._level.advance(now)
            target = self._rule.target_share * self._concurrency
            self._average_wants = math.ceil(self._window.average(now) / target)
        demanded = math.ceil(self._metrics.demand / self._concurrency)
        # Where nothing waits or runs now, the minute that was is no reason to start another one.
        return Scale(max(demanded, self._average_wants) if self._metrics.demand else 0)

    def wake(self, now: float) -> float:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        return self._tick_at if self._metrics.demand else math.inf
