"""What a function would cost on Modal in a month, by its public prices.

Source: https://modal.com/pricing. CPUs and memory are those of the platform profile ``modal``.
"""

from __future__ import annotations

from collections.abc import Mapping

from bentofn.adapters.load import Load
from bentofn.adapters.local.core.billing import InstancePrice
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.plan import Cost, CostPart
from bentofn.adapters.protocol import FunctionSettings

PER_GPU_SECOND: Mapping[str, float] = {
    "T4": 0.000164, "L4": 0.000222, "A10": 0.000306, "A10G": 0.000306, "L40S": 0.000542,
    "A100": 0.000583, "A100-40GB": 0.000583, "A100-80GB": 0.000694,
    "H100": 0.001097, "H100!": 0.001097, "H200": 0.001261, "B200": 0.001736, "B200+": 0.001736,
}  # fmt: skip
"""US dollars, as of May 2026."""

_MIB = 1024


def cost_of(settings: FunctionSettings, concurrency: int, load: Load) -> Cost:
    """A month's cost of a load; a container is paid for while it is there, busy or idle.

    Args:
        settings: The function's.
        concurrency: Calls that a container takes at a time.
        load: How much it is called.
    """
    profile = load_profile("modal")
    price = profile.price.rule
    assert isinstance(price, InstancePrice)
    size = profile.size(settings)
    idle = settings.idle_timeout or profile.scaling.idle_timeout
    kept = settings.min_instances + (settings.buffer_instances or 0)
    seconds = load.instance_seconds(idle, concurrency, kept)
    parts = [
        CostPart("CPU", seconds * price.per_cpu_second * size.cpu),
        CostPart("memory", seconds * price.per_gib_second * size.memory / _MIB),
    ]
    note = "by modal.com/pricing; what a container uses beyond what it reserves is charged too"
    if settings.gpu:
        kind, _, count = settings.gpu.upper().partition(":")
        rate = PER_GPU_SECOND.get(kind)
        if rate is None:
            note += f"; the price of {kind} is not known and not in the sum"
        else:
            parts.append(CostPart(f"GPU {settings.gpu}", seconds * rate * int(count or 1)))
    if settings.regions:
        note += "; a choice of regions costs 1.5 to 1.75 times as much"
    return Cost(load, tuple(parts), profile.price.currency, note)
