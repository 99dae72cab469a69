"""What a function would cost on the backend whose rules it runs by."""

from __future__ import annotations

from bentofn.adapters.load import Load
from bentofn.adapters.local.core.billing import InstancePrice, RequestPrice
from bentofn.adapters.local.core.profile import Profile
from bentofn.adapters.plan import Cost, CostPart
from bentofn.adapters.settings import FunctionSettings

_MIB = 1024


def cost_of(profile: Profile, settings: FunctionSettings, load: Load) -> Cost:
    """A month's cost of a load by a profile's price, without snapshots' storage.

    Args:
        profile: The backend's rules.
        settings: The function's.
        load: How much it is called.
    """
    size, rule = profile.size(settings), profile.price.rule
    parts: tuple[CostPart, ...] = ()
    if isinstance(rule, RequestPrice):
        seconds = load.per_month * load.duration
        parts = (
            CostPart("requests", load.per_month * rule.per_request),
            CostPart("memory while they run", seconds * size.memory / _MIB * rule.per_gib_second),
        )
    elif isinstance(rule, InstancePrice):
        idle = settings.idle_timeout or profile.scaling.idle_timeout
        stay = idle if rule.idle else 0.0
        concurrency = settings.concurrency or profile.instance.concurrency
        seconds = load.instance_seconds(min(stay, 3600.0), concurrency, settings.min_instances)
        rate = (
            rule.per_second + rule.per_cpu_second * size.cpu
            + rule.per_gib_second * size.memory / _MIB
        )  # fmt: skip
        parts = (
            CostPart("instances", seconds * rate),
            CostPart("requests", load.per_month * rule.per_request),
        )
    return Cost(load, parts, profile.price.currency, f"by the prices of profile {profile.name}")
