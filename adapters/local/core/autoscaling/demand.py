"""As many instances as the requests of this moment fill, and a buffer; Modal's rule too."""

from __future__ import annotations

import math
from dataclasses import dataclass

from bentofn.adapters.local.core.autoscaling.base import Bounds, Metrics, Scale


@dataclass(frozen=True)
class DemandRule:
    """Start an instance as soon as those that are there cannot take everything.

    Args:
        target_share: The part of its concurrency that an instance is meant to be filled to; the
            rest is for bursts. Modal's ``target_inputs`` over its ``max_inputs``.
        buffer: Instances more than needed while there are requests: Modal's
            ``buffer_containers``. Source: https://modal.com/docs/guide/scale
    """

    target_share: float = 1.0
    buffer: int = 0

    def autoscaler(self, bounds: Bounds) -> DemandAutoscaler:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.ScalingRule`."""
        return DemandAutoscaler(max(1.0, bounds.concurrency * self.target_share), self.buffer)


class DemandAutoscaler:
    """See :class:`DemandRule`.

    Args:
        target: Requests that an instance is meant to have.
        buffer: Instances more than that while there are requests.
    """

    def __init__(self, target: float, buffer: int) -> None:
        self._target = target
        self._buffer = buffer
        self._wanted = 0

    def observe(self, metrics: Metrics, now: float) -> None:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        demand = metrics.demand
        self._wanted = math.ceil(demand / self._target) + self._buffer if demand else 0

    def desired(self, now: float) -> Scale:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        return Scale(self._wanted)

    def wake(self, now: float) -> float:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        return math.inf
