"""RunPod's two rules: how long the first has waited, or how many there are for each worker; a
function says which.

Source: https://docs.runpod.io/serverless/endpoints/endpoint-configurations
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bentofn.adapters.local.core.autoscaling.base import Autoscaler, Bounds, Metrics, Scale


@dataclass(frozen=True)
class QueuedRule:
    """One of the two.

    Args:
        scaler: Which.
        value: Its limit: seconds, or requests.
    """

    scaler: Literal["QUEUE_DELAY", "REQUEST_COUNT"]
    value: float

    def autoscaler(self, bounds: Bounds) -> Autoscaler:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.ScalingRule`."""
        if self.scaler == "QUEUE_DELAY":
            return QueueDelayRule(self.value).autoscaler(bounds)
        return RequestCountRule(max(1, round(self.value))).autoscaler(bounds)


@dataclass(frozen=True)
class QueueDelayRule:
    """Another worker each time that a request has waited for longer than a limit.

    Args:
        delay: Seconds that a request may wait before another worker is started for it.
    """

    delay: float

    def autoscaler(self, bounds: Bounds) -> QueueDelayAutoscaler:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.ScalingRule`."""
        return QueueDelayAutoscaler(self.delay)


class QueueDelayAutoscaler:
    """See :class:`QueueDelayRule`.

    The first worker is started at once: there is no other way from zero. The next one is added
    when the request that waits longest did so for the limit, and once a limit at most.

    Args:
        delay: The limit in seconds.
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._metrics = Metrics()
        self._added_at = -math.inf
        self._wanted = 0

    def observe(self, metrics: Metrics, now: float) -> None:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        self._metrics = metrics

    def desired(self, now: float) -> Scale:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        if not self._metrics.queued:
            self._wanted = 0
        elif not self._metrics.active:
            self._add(now, 1)
        elif now >= self._due:
            self._add(now, self._metrics.active + 1)
        return Scale(self._wanted)

    def wake(self, now: float) -> float:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        return self._due if self._metrics.queued else math.inf

    @property
    def _due(self) -> float:
        oldest = self._metrics.oldest
        waits_since = self._added_at if oldest is None else max(oldest, self._added_at)
        return waits_since + self._delay

    def _add(self, now: float, wanted: int) -> None:
        if wanted > self._wanted:
            self._wanted = wanted
            self._added_at = now


@dataclass(frozen=True)
class RequestCountRule:
    """A worker for each so many requests that wait or run.

    Args:
        requests: How many.
    """

    requests: int

    def autoscaler(self, bounds: Bounds) -> RequestCountAutoscaler:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.ScalingRule`."""
        return RequestCountAutoscaler(self.requests)


class RequestCountAutoscaler:
    """See :class:`RequestCountRule`.

    Args:
        requests: Requests for each worker.
    """

    def __init__(self, requests: int) -> None:
        self._requests = requests
        self._wanted = 0

    def observe(self, metrics: Metrics, now: float) -> None:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        self._wanted = math.ceil(metrics.demand / self._requests)

    def desired(self, now: float) -> Scale:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        return Scale(self._wanted)

    def wake(self, now: float) -> float:
        """See :class:`bentofn.adapters.local.core.autoscaling.base.Autoscaler`."""
        return math.inf
