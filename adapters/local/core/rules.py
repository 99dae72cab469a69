"""What a pool of instances goes by."""

from __future__ import annotations

from dataclasses import dataclass, field

from bentofn.adapters.local.core.autoscaling.base import Bounds, ScalingRule
from bentofn.adapters.local.core.autoscaling.demand import DemandRule
from bentofn.adapters.local.core.overflow import OverflowRules


@dataclass(frozen=True)
class PoolRules:
    """A profile's rules with a function's own settings put in. Times are in seconds.

    Args:
        concurrency: Requests that an instance takes at a time.
        min_instances: Instances kept without requests.
        max_instances: Instances at most, those that are stopping included; 0 refuses everything.
            One more may be there while it is only being kept: that takes a while, for which no
            request should wait. Whether an instance can be kept is its engine's to know, and told
            with :class:`bentofn.adapters.local.core.messages.InstanceReady`.
        overflow: What becomes of requests that find no instance.
        idle_timeout: Time without a request after which an instance is stopped.
        start_attempts: Failed starts in a row after which waiting requests are refused.
        start_backoff: Wait after the first failed start; doubled with each further one.
        start_hold: Wait before instances that no request waits for are tried again.
        scaling: How many instances there are for so many requests.
        asked: The concurrency that the function itself names, or None.
    """

    concurrency: int
    min_instances: int
    max_instances: int
    overflow: OverflowRules
    idle_timeout: float
    start_attempts: int
    start_backoff: float
    start_hold: float
    scaling: ScalingRule = field(default_factory=DemandRule)
    asked: int | None = None

    @property
    def bounds(self) -> Bounds:
        """What the autoscaler has to know."""
        return Bounds(self.concurrency, self.asked, self.min_instances, self.max_instances)
