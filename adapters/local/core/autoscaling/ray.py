"""Ray Serve's rule: ongoing requests for each replica, and patience before each change.

Source: https://github.com/ray-project/ray/blob/master/python/ray/serve/autoscaling_policy.py
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bentofn.adapters.local.core.autoscaling.base import Bounds, Metrics, Scale
from bentofn.adapters.local.core.autoscaling.windows import Buckets, Level


@dataclass(frozen=True)
class RayRule:
    """A change is made once it was wanted at every decision for a while.

    Args:
        target_ongoing: Requests that a replica should have, waiting ones included.
        look_back: Seconds of the average.
        upscale_delay: Seconds for which more must be wanted.
        downscale_delay: Seconds for which less must be enough; also for the last one.
        upscaling_factor: The part of the missing replicas that is added at once.
        downscaling_factor: The part of the spare ones that is taken away at once.
        interval: Seconds between two decisions.
    """

    target_ongoing: float
    look_back: float
    upscale_delay: float
    downscale_delay: float
    upscaling_factor: float
    downscaling_factor: float
    interval: float

    def autoscaler(self, bounds: Bounds) -> RayAutoscaler:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.ScalingRule`."""
        return RayAutoscaler(self, bounds.minimum, bounds.maximum)


class RayAutoscaler:
    """See :class:`RayRule`.

    Args:
        rule: The constants.
        minimum: Replicas at least.
        maximum: Replicas at most.
    """

    def __init__(self, rule: RayRule, minimum: int, maximum: int) -> None:
        self._rule = rule
        self._minimum = minimum
        self._maximum = maximum
        self._window = Buckets(rule.look_back)
        self._level = Level(self._window)
        self._metrics = Metrics()
        self._target = minimum
        self._tick_at = -math.inf
        self._direction = 0
        self._since = 0.0

    def observe(self, metrics: Metrics, now: float) -> None:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        at_zero = not (metrics.demand or metrics.active)
        self._level.change(None if at_zero else metrics.demand, now)
        self._metrics = metrics
        if not self._target and (metrics.demand or metrics.active):
            # The first replica is not waited for.
            self._target = max(1, math.ceil(self._rule.upscaling_factor))
            self._direction, self._since = 0, now

    def desired(self, now: float) -> Scale:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        if self._target and now >= self._tick_at:
            self._tick_at = now + self._rule.interval
            self._level.advance(now)
            self._decide(now)
        return Scale(self._target, self._target)

    def wake(self, now: float) -> float:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        settled = self._target == self._minimum and not self._metrics.demand
        return math.inf if settled else self._tick_at

    def _decide(self, now: float) -> None:
        wanted = self._wanted(now)
        direction = (wanted > self._target) - (wanted < self._target)
        if direction != self._direction:
            self._direction, self._since = direction, now
        rule = self._rule
        patience = rule.upscale_delay if direction > 0 else rule.downscale_delay
        if direction and now - self._since >= patience:
            # Only the last one goes to zero: what is there is taken down to one before.
            floor = 0 if self._target == 1 else 1
            self._target = max(floor, wanted)
            self._direction = 0

    def _wanted(self, now: float) -> int:
        change = self._window.average(now) / self._rule.target_ongoing - self._target
        up = change > 0
        factor = self._rule.upscaling_factor if up else self._rule.downscaling_factor
        wanted = math.ceil(self._target + factor * change)
        if change <= -1 and wanted == self._target:
            wanted -= 1
        return max(self._minimum, min(wanted, self._maximum))
