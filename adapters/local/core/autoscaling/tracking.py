"""SageMaker's rule: CloudWatch's alarms on a metric, and Application Auto Scaling's answers.

Source: https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html and
https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bentofn.adapters.local.core.autoscaling.base import Bounds, Metrics, Scale


@dataclass(frozen=True)
class TrackingRule:
    """A metric is kept near its target, and a step takes an endpoint from zero.

    Args:
        target: Requests for each instance that are aimed at.
        running: Whether the requests that instances have count, beside those that wait.
        period: Seconds of one data point.
        out_periods: Data points in a row over the target before there is more.
        in_periods: Data points in a row under the lower bound before there is less.
        in_share: The lower bound, as a part of the target.
        zero_periods: Data points in a row with requests and no instance before there is one.
        out_cooldown: Seconds after more, before there is more again.
        in_cooldown: Seconds after a change, before there is less.
    """

    target: float
    running: bool
    period: float
    out_periods: int
    in_periods: int
    in_share: float
    zero_periods: int
    out_cooldown: float
    in_cooldown: float

    def autoscaler(self, bounds: Bounds) -> TrackingAutoscaler:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.ScalingRule`."""
        return TrackingAutoscaler(self, bounds.minimum, bounds.maximum)


class TrackingAutoscaler:
    """See :class:`TrackingRule`.

    Args:
        rule: The constants.
        minimum: Instances at least.
        maximum: Instances at most.
    """

    def __init__(self, rule: TrackingRule, minimum: int, maximum: int) -> None:
        self._rule = rule
        self._minimum = minimum
        self._maximum = maximum
        self._metrics = Metrics()
        self._wanted = minimum
        self._point_at = math.inf
        self._area = 0.0
        self._since = 0.0
        self._arrived = 0
        self._over = self._under = self._without = 0
        self._changed_at = -math.inf
        self._added_at = -math.inf

    def observe(self, metrics: Metrics, now: float) -> None:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        self._area += self._value * (now - self._since)
        self._since = now
        self._metrics = metrics
        if not self._wanted and metrics.active:
            self._wanted = 1
        watched = metrics.active or metrics.demand or metrics.arrived > self._arrived
        if watched and self._point_at == math.inf:
            # CloudWatch's periods are on a grid of their own.
            period = self._rule.period
            self._point_at = (math.floor(now / period) + 1) * period
            self._area = 0.0

    def desired(self, now: float) -> Scale:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        if now >= self._point_at:
            self._point(now)
        return Scale(self._wanted, self._wanted)

    def wake(self, now: float) -> float:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        return self._point_at

    @property
    def _value(self) -> float:
        metrics = self._metrics
        return metrics.demand if self._rule.running else metrics.queued

    def _point(self, now: float) -> None:
        metrics, rule = self._metrics, self._rule
        total = self._area / rule.period
        came = metrics.arrived > self._arrived
        if not (self._wanted or metrics.demand or came):
            self._point_at = math.inf  # nothing to measure until the next request
            self._without = 0
            return
        self._arrived, self._area = metrics.arrived, 0.0
        self._point_at = (math.floor(now / rule.period) + 1) * rule.period
        if not self._wanted:
            self._without = self._without + 1 if metrics.demand or came else 0
            if self._without >= rule.zero_periods:
                self._change(1, now)
            return
        each = total / self._wanted
        self._over = self._over + 1 if each > rule.target else 0
        self._under = self._under + 1 if each < rule.target * rule.in_share else 0
        wanted = max(self._minimum, min(math.ceil(total / rule.target), self._maximum))
        if self._over >= rule.out_periods and now - self._added_at >= rule.out_cooldown:
            self._change(max(wanted, self._wanted), now)
        elif self._under >= rule.in_periods and now - self._changed_at >= rule.in_cooldown:
            # Requests that are being answered keep the last one, whatever the metric says.
            floor = 1 if metrics.demand else 0
            self._change(max(floor, min(wanted, self._wanted)), now)

    def _change(self, wanted: int, now: float) -> None:
        if wanted != self._wanted:
            self._changed_at = now
            if wanted > self._wanted:
                self._added_at = now
            self._wanted = wanted
            self._over = self._under = self._without = 0
