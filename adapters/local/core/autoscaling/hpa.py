"""KEDA's HTTP add-on: the interceptor's requests in flight, held by Kubernetes' own autoscaler.

Source: https://keda.sh/http-add-on/0.14/concepts/scaling/ and
https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bentofn.adapters.local.core.autoscaling.base import Bounds, Metrics, Scale
from bentofn.adapters.local.core.autoscaling.windows import Maximum


@dataclass(frozen=True)
class HpaRule:
    """KEDA takes a function from and to zero, the horizontal pod autoscaler everything else.

    Args:
        target: Requests in flight for each instance.
        interval: Seconds between two decisions.
        tolerance: The part by which the metric may be off its target without a change.
        up_instances: Instances that may be added in an interval, or
        up_share: the part of those that are there, whichever is more.
        stabilization: Seconds for which less must be enough, before there is less.
        cooldown: Seconds without a request before the last one goes: KEDA's ``cooldownPeriod``.
    """

    target: int
    interval: float
    tolerance: float
    up_instances: int
    up_share: float
    stabilization: float
    cooldown: float

    def autoscaler(self, bounds: Bounds) -> HpaAutoscaler:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.ScalingRule`."""
        return HpaAutoscaler(self, max(1, bounds.minimum), bounds.maximum)


class HpaAutoscaler:
    """See :class:`HpaRule`.

    Args:
        rule: The constants.
        minimum: Instances at least, where there are any.
        maximum: Instances at most.
    """

    def __init__(self, rule: HpaRule, minimum: int, maximum: int) -> None:
        self._rule = rule
        self._minimum = minimum
        self._maximum = maximum
        self._metrics = Metrics()
        self._wanted = 0
        self._tick_at = math.inf
        self._busy_at = 0.0
        self._recommended = Maximum(rule.stabilization, rule.interval)

    def observe(self, metrics: Metrics, now: float) -> None:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        was_busy = self._metrics.demand > 0
        if was_busy or metrics.demand or not self._wanted:
            self._busy_at = now
        self._metrics = metrics
        if not self._wanted and (metrics.demand or metrics.active):
            self._wanted = self._minimum
            self._tick_at = now + self._rule.interval

    def desired(self, now: float) -> Scale:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        idle = not self._metrics.demand
        if self._wanted and idle and now >= self._busy_at + self._rule.cooldown:
            self._wanted, self._tick_at = 0, math.inf
        elif now >= self._tick_at:
            self._tick_at = now + self._rule.interval
            self._wanted = self._next(now)
        return Scale(self._wanted, self._wanted)

    def wake(self, now: float) -> float:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        if not self._wanted:
            return math.inf
        if self._metrics.demand or self._wanted > self._minimum:
            return self._tick_at
        return self._busy_at + self._rule.cooldown

    def _next(self, now: float) -> int:
        demand, rule = self._metrics.demand, self._rule
        wanted = math.ceil(demand / rule.target)
        off = abs(demand / (rule.target * self._wanted) - 1)
        if off <= rule.tolerance:
            wanted = self._wanted
        most = max(self._wanted + rule.up_instances, math.ceil(self._wanted * (1 + rule.up_share)))
        wanted = max(self._minimum, min(wanted, most, self._maximum))
        return max(wanted, min(self._wanted, self._recommended.record(now, wanted)))
