"""Lambda's rule: an environment for each request at a time, so many new ones in a while."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bentofn.adapters.local.core.autoscaling.base import Bounds, Metrics, Scale


@dataclass(frozen=True)
class EnvironmentRule:
    """A function may get ``burst`` environments at once, and as many again each ``period``.

    What was not used is not saved up, and the allowance comes back continuously.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html

    Args:
        burst: Environments at most in one period.
        period: Seconds.
    """

    burst: int
    period: float

    def autoscaler(self, bounds: Bounds) -> EnvironmentAutoscaler:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.ScalingRule`."""
        return EnvironmentAutoscaler(self, bounds.concurrency)


class EnvironmentAutoscaler:
    """See :class:`EnvironmentRule`.

    Args:
        rule: The constants.
        concurrency: Requests that an environment takes at a time.
    """

    def __init__(self, rule: EnvironmentRule, concurrency: int) -> None:
        self._rule = rule
        self._concurrency = concurrency
        self._allowance = float(rule.burst)
        self._since = -math.inf
        self._started = 0
        self._wanted = 0
        self._granted = 0

    def observe(self, metrics: Metrics, now: float) -> None:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        self._allowance -= metrics.started - self._started
        self._started = metrics.started
        refill = (now - self._since) * self._rule.burst / self._rule.period
        self._allowance = min(self._rule.burst, self._allowance + refill)
        self._since = now
        self._wanted = math.ceil(metrics.demand / self._concurrency)
        self._granted = min(self._wanted, metrics.active + max(0, math.floor(self._allowance)))

    def desired(self, now: float) -> Scale:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        return Scale(self._granted)

    def wake(self, now: float) -> float:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        if self._granted >= self._wanted:
            return math.inf
        missing = max(0.0, 1.0 - self._allowance)
        return now + max(missing * self._rule.period / self._rule.burst, 0.001)
