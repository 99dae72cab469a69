"""What a function would cost on Lambda in a month, by its public prices.

Source: https://aws.amazon.com/lambda/pricing/, by the platform profile ``lambda``.
"""

from __future__ import annotations

import math

from bentofn.adapters.aws_lambda.configuration import SNAPPED
from bentofn.adapters.aws_lambda.desired import Desired
from bentofn.adapters.aws_lambda.leftovers import KEPT_SNAPPED
from bentofn.adapters.load import MONTH, Load
from bentofn.adapters.local.core.billing import RequestPrice
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.plan import Cost, CostPart

PER_PROVISIONED_GIB_SECOND = 4.1667e-6
"""US dollars for an environment that is kept initialised, in us-east-1."""

PER_GIB_SECOND_PROVISIONED = 9.7222e-6
"""US dollars while such an environment has a request."""

ARM = 0.8
"""An arm64's memory costs that share of an x86_64's."""

_MIB = 1024


def cost_of(wanted: Desired, load: Load) -> Cost:
    """A month's cost of a load, without the free tier.

    Args:
        wanted: The function.
        load: How much it is called.
    """
    profile = load_profile("lambda")
    rule = profile.price.rule
    assert isinstance(rule, RequestPrice)
    gib = wanted.configuration["MemorySize"] / _MIB
    arm = ARM if wanted.package.architecture == "arm64" else 1.0
    seconds = load.per_month * load.duration
    kept = wanted.provisioned or 0
    rate = PER_GIB_SECOND_PROVISIONED if kept else rule.per_gib_second
    parts = [
        CostPart("requests", load.per_month * rule.per_request),
        CostPart("memory while they run", seconds * gib * rate * arm),
    ]
    if kept:
        idle = kept * MONTH * gib * PER_PROVISIONED_GIB_SECOND * arm
        parts.append(CostPart("provisioned concurrency", idle))
    if wanted.configuration["SnapStart"]["ApplyOn"] == SNAPPED:
        # An environment stays for a while, so that a start comes after a gap of that length.
        idle_timeout = profile.scaling.idle_timeout
        starts = load.per_month * math.exp(-load.per_second * idle_timeout)
        # Lambda drops the snapshot of a version that had no request for 14 days.
        kept_for = MONTH * gib * rule.cache_per_gib_second
        parts.append(CostPart(f"snapshots of {KEPT_SNAPPED} versions", KEPT_SNAPPED * kept_for))
        parts.append(CostPart("restores", starts * gib * rule.restore_per_gib))
    note = "by aws.amazon.com/lambda/pricing in us-east-1; data sent, logs and alarms come on top"
    return Cost(load, tuple(parts), profile.price.currency, note)
