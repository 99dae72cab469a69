"""Platform profiles as `bentofn emulator profiles` shows them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from bentofn.adapters.local.core.profile import Profile

HEADINGS = ("PROFILE", "REQUESTS/INSTANCE", "INSTANCES", "SCALING", "IDLE", "OVERFLOW", "PAYLOAD")


def row(profile: Profile) -> tuple[object, ...]:
    """What matters most of a profile, in a line of a table."""
    scaling, overflow = profile.scaling, profile.overflow
    rule = profile.constants["scaling"]["rule"].value
    idle = "metric" if math.isinf(scaling.idle_timeout) else f"{scaling.idle_timeout:g} s"
    queue = f"{overflow.queue_limit} wait, " if overflow.queue_limit else ""
    return (
        profile.name,
        profile.instance.concurrency,
        scaling.max_instances,
        rule,
        idle,
        f"{queue}{overflow.status}",
        f"{profile.limits.payload / 2**20:g} MiB",
    )


def lines(profile: Profile) -> Iterator[str]:
    """Every constant of a profile with where it comes from."""
    for table, constants in profile.constants.items():
        yield f"[{table}]"
        for name, constant in constants.items():
            note = f" ({constant.note})" if constant.note else ""
            value, setting = constant.value, f", set by {constant.setting}" * bool(constant.setting)
            yield f"  {name} = {value!r}  {constant.certainty}  {constant.source}{note}{setting}"


def document(profile: Profile) -> Mapping[str, Any]:
    """The same for machines; what is infinite is null."""
    return {
        table: {name: _plain(dataclasses.asdict(each)) for name, each in constants.items()}
        for table, constants in profile.constants.items()
    }


def _plain(constant: dict[str, Any]) -> dict[str, Any]:
    return {**constant, "value": None if constant["value"] == math.inf else constant["value"]}
