"""Knative's pod autoscaler over time: windows, ticks, pokes, and the way to zero.

Source: https://github.com/knative/serving/tree/main/pkg/autoscaler and
https://github.com/knative/serving/blob/main/pkg/reconciler/autoscaling/kpa/scaler.go
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bentofn.adapters.local.core.autoscaling.base import Bounds, Metrics, Scale
from bentofn.adapters.local.core.autoscaling.kpa_decider import Decision, KpaDecider, KpaRules
from bentofn.adapters.local.core.autoscaling.windows import Buckets, Level

_TARGET_MIN = 0.01
"""Requests at a time that an instance is aimed at, at least: ``autoscaling.TargetMin``."""


@dataclass(frozen=True)
class KpaRule(KpaRules):
    """Concurrency averaged over a stable and a panic window, decided on at every tick."""

    def autoscaler(self, bounds: Bounds) -> KpaAutoscaler:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.ScalingRule`."""
        total = float(bounds.asked or self.target_default)
        target = max(_TARGET_MIN, total * self.target_utilization)
        return KpaAutoscaler(KpaDecider(self, target, total), bounds.minimum, bounds.maximum)


class KpaAutoscaler:
    """See :class:`KpaRule`.

    A revision is ``new``, ``activating`` (instances are wanted, none serves), ``active`` or
    ``inactive`` (none is wanted; the last one stays until the activator is in the path).

    Args:
        decider: The formulas, with the revision's target.
        minimum: Instances at least: its ``min-scale``.
        maximum: Instances at most: its ``max-scale``.
    """

    def __init__(self, decider: KpaDecider, minimum: int, maximum: int) -> None:
        rules = decider.rules
        self.decider = decider
        self.state = "new"
        self.decision = Decision(0, 0)
        self._minimum = minimum
        self._maximum = maximum
        panic_window = max(1.0, float(round(rules.stable_window * rules.panic_window_share)))
        self._stable = Buckets(rules.stable_window)
        self._panic = Buckets(panic_window)
        self._level = Level(self._stable, self._panic)
        self._metrics = Metrics()
        self._tick_at = -math.inf
        self._scale = minimum
        self._settled = True
        """Whether no further decision is to be made before the next request."""
        self._state_since = 0.0
        self._proxied_since: float | None = None

    def observe(self, metrics: Metrics, now: float) -> None:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        at_zero = not (metrics.demand or metrics.active)
        self._level.change(None if at_zero else metrics.demand, now)
        self._metrics = metrics
        if metrics.demand:
            self._settled = False
        if self.state == "new" and metrics.active:
            # A revision begins with one instance: its ``initial-scale``.
            self._scale = max(1, self._minimum)
            self._settled = False
            self._enter("activating", now)
        if self.state == "activating" and metrics.ready:
            self._enter("active", now)

    def desired(self, now: float) -> Scale:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        poked = self.decision.desired == 0 and self._metrics.demand > 0
        if poked or (now >= self._tick_at and not self._settled):
            tick = self.decider.rules.tick
            # The ticks are on a grid of their own; a poke is between two of them.
            self._tick_at = (math.floor(now / tick) + 1) * tick
            self._decide(now, poked=poked)
        return Scale(self._scale, self._scale)

    def wake(self, now: float) -> float:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        return math.inf if self._settled else self._tick_at

    def _decide(self, now: float, *, poked: bool) -> None:
        self._level.advance(now)
        stable, panic = self._stable.average(now), self._panic.average(now)
        if poked:
            # The activator tells of its first request at once, before a second's average is known.
            stable, panic = max(stable, 1.0), max(panic, 1.0)
        self.decision = self.decider.decide(now, self._metrics.ready, stable, panic)
        bounded = min(max(self.decision.desired, self._minimum), self._maximum)
        self._scale = bounded or self._towards_zero(now)
        if bounded and self.state != "active":
            self._enter("active" if self._metrics.ready else "activating", now)
        self._follow_activator(now)
        quiet = not (stable or panic or self._metrics.demand)
        self._settled = quiet and self._scale == self._minimum

    def _towards_zero(self, now: float) -> int:
        """How many stay when none is wanted: the last one waits for the activator."""
        rules = self.decider.rules
        lasted = now - self._state_since
        if self.state == "active":
            if lasted < rules.stable_window:
                return 1
            self._enter("inactive", now)
            return self._scale
        if self.state == "activating" and lasted >= rules.activation_timeout:
            self._enter("inactive", now)
            return 0
        if self.state != "inactive":
            return self._scale
        if lasted >= max(rules.scale_to_zero_grace, rules.pod_retention):
            return 0
        if lasted < rules.pod_retention or self._proxied_since is None:
            return self._scale
        proxied = now - self._proxied_since
        return 0 if proxied >= rules.scale_to_zero_grace else self._scale

    def _follow_activator(self, now: float) -> None:
        served = self.state != "inactive" and self.decision.excess_burst_capacity >= 0
        if served:
            self._proxied_since = None
        elif self._proxied_since is None:
            self._proxied_since = now

    def _enter(self, state: str, now: float) -> None:
        if state != self.state:
            self.state, self._state_since = state, now
