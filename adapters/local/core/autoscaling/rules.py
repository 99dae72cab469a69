"""The rules of scaling by the names that profiles call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentofn.adapters.local.core.autoscaling.base import ScalingRule
from bentofn.adapters.local.core.autoscaling.concurrency import ConcurrencyRule
from bentofn.adapters.local.core.autoscaling.demand import DemandRule
from bentofn.adapters.local.core.autoscaling.environments import EnvironmentRule
from bentofn.adapters.local.core.autoscaling.hpa import HpaRule
from bentofn.adapters.local.core.autoscaling.kpa import KpaRule
from bentofn.adapters.local.core.autoscaling.queued import QueuedRule
from bentofn.adapters.local.core.autoscaling.ray import RayRule
from bentofn.adapters.local.core.autoscaling.tracking import TrackingRule

_RULES = {
    "demand": DemandRule,
    "environments": EnvironmentRule,
    "concurrency": ConcurrencyRule,
    "kpa": KpaRule,
    "hpa": HpaRule,
    "queued": QueuedRule,
    "ray": RayRule,
    "tracking": TrackingRule,
}


def scaling_rule(name: str, constants: Mapping[str, Any]) -> ScalingRule:
    """A rule with its constants.

    Args:
        name: Its name in a profile.
        constants: What its dataclass holds.
    """
    rule: ScalingRule = _RULES[name](**constants)
    return rule
