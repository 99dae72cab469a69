"""The formulas of Knative's pod autoscaler, one decision at a time.

Source: https://github.com/knative/serving/blob/main/pkg/autoscaler/scaling/autoscaler.go
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bentofn.adapters.local.core.autoscaling.windows import Maximum


@dataclass(frozen=True)
class KpaRules:
    """The constants of Knative's ``config-autoscaler``, and what a revision adds to them.

    Args:
        target_utilization: The part of an instance's capacity that is aimed at.
        target_default: Its capacity in requests, where the revision does not limit them.
        target_burst_capacity: Requests more than now that must find room without the activator;
            0 has it in the path at zero only, -1 always.
        stable_window: Seconds of the average that counts.
        panic_window_share: The part of these that the average of a panic is over.
        panic_threshold: How many times what is ready must be wanted for a panic.
        max_scale_up_rate: Times what is ready that may be wanted at once.
        max_scale_down_rate: Part of what is ready that must stay, as its inverse.
        scale_to_zero_grace: Seconds that the activator is in the path before the last one goes.
        pod_retention: Seconds that the last one stays at least.
        activation_timeout: Seconds after which the first one is given up, if it does not serve.
        scale_down_delay: Seconds for which less must be enough, before there is less.
        activation_scale: Instances at least, where there are any.
        activator_capacity: Requests at a time of one activator.
        tick: Seconds between two decisions.
    """

    target_utilization: float
    target_default: float
    target_burst_capacity: float
    stable_window: float
    panic_window_share: float
    panic_threshold: float
    max_scale_up_rate: float
    max_scale_down_rate: float
    scale_to_zero_grace: float
    pod_retention: float
    activation_timeout: float
    scale_down_delay: float
    activation_scale: int
    activator_capacity: float
    tick: float


@dataclass(frozen=True)
class Decision:
    """What one tick decided.

    Args:
        desired: Instances.
        excess_burst_capacity: Requests that there is room for, the burst's left out; where it is
            negative, the activator is in the path.
    """

    desired: int
    excess_burst_capacity: int


class KpaDecider:
    """Decides on the numbers of one revision.

    Args:
        rules: The constants.
        target: Requests that an instance should have.
        total: Requests that an instance can have.
        ready: Instances that serve when it begins; of more than one it lets none go before it
            has seen a stable window.
        now: When it begins.
    """

    def __init__(
        self, rules: KpaRules, target: float, total: float, ready: int = 0, now: float = 0.0
    ) -> None:
        self.rules = rules
        self.target = target
        self.total = total
        self.panic_since: float | None = now if ready > 1 else None
        self.most_in_panic = ready
        self._delayed = (
            Maximum(rules.scale_down_delay, rules.tick) if rules.scale_down_delay > 0 else None
        )

    def decide(
        self, now: float, ready: int, stable: float, panic: float, *, reachable: bool = True
    ) -> Decision:
        """Decide.

        Args:
            now: When.
            ready: Instances that serve.
            stable: Average of requests at a time, over the stable window.
            panic: The same over the panic window.
            reachable: Whether requests can come; a revision without a route shrinks at once.
        """
        rules = self.rules
        base = max(1, ready)
        most = math.ceil(rules.max_scale_up_rate * base)
        least = math.floor(base / rules.max_scale_down_rate) if reachable else 0
        for_stable = math.ceil(stable / self.target)
        for_panic = math.ceil(panic / self.target)
        wanted_stable = self._activated(min(max(for_stable, least), most), for_stable)
        wanted_panic = self._activated(min(max(for_panic, least), most), for_panic)
        self._follow_panic(now, for_panic / base >= rules.panic_threshold)
        desired = wanted_stable
        if self.panic_since is not None:
            self.most_in_panic = max(self.most_in_panic, wanted_stable, wanted_panic)
            desired = self.most_in_panic
        if reachable and self._delayed is not None:
            desired = self._delayed.record(now, desired)
        return Decision(desired, self._excess(ready, panic))

    def activators(self, ready: int) -> int:
        """Activators in the path of this many ready instances."""
        burst = self.rules.target_burst_capacity
        if burst == 0:
            return 2
        capacity = ready * self.total + max(0.0, burst)
        return max(2, math.ceil(capacity / self.rules.activator_capacity))

    def _activated(self, wanted: int, needed: int) -> int:
        return max(wanted, self.rules.activation_scale) if needed > 0 else wanted

    def _follow_panic(self, now: float, over: bool) -> None:
        if over:
            self.panic_since = now
        elif self.panic_since is not None and now - self.panic_since > self.rules.stable_window:
            self.panic_since = None
            self.most_in_panic = 0

    def _excess(self, ready: int, panic: float) -> int:
        burst = self.rules.target_burst_capacity
        if burst <= 0:
            return 0 if burst == 0 else -1
        return math.floor(ready * self.total - burst - panic)
