"""What differs between a function as it is deployed and as it is to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from bentofn.adapters.fields import FIELDS
from bentofn.adapters.plan import Change
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.settings import FunctionSettings, FunctionSpec

SET, CHANGED = "set", "changed"
"""What stands in the place of values that are never shown."""

_BY_NAME = {
    "environment", "events.schedule", "schedules",
    *(field.name for field in FIELDS if field.name.startswith("secrets ")),
}  # fmt: skip
"""Fields whose members are told one by one."""


def changes_between(before: FunctionSpec | None, after: FunctionSpec) -> tuple[Change, ...]:
    """What differs of a function that a target keeps as the spec that was applied.

    Args:
        before: As it is deployed, or None.
        after: As it is to be.
    """
    if before is None:
        stated = settings_changes(FunctionSettings(), after.settings)
        return (
            Change("function", None, after.name),
            Change("bento", None, after.bento),
            *(Change(each.path, None, each.after) for each in stated if each.after is not None),
        )
    replaced = (Change("bento", before.bento, after.bento),) if before.bento != after.bento else ()
    found = (*replaced, *settings_changes(before.settings, after.settings))
    if not found and before != after:
        return (Change("settings", SET, CHANGED),)  # of what has no field of its own
    return found


def settings_changes(before: FunctionSettings, after: FunctionSettings) -> Iterator[Change]:
    """What differs between settings, by field, and by variable for the environment."""
    yield from hidden_changes("environment", before.environment, after.environment)
    yield from hidden_changes("secrets", before.secrets, after.secrets)
    yield from hidden_changes("schedules", _schedules(before), _schedules(after))
    for field in FIELDS:
        old, new = field.value(before), field.value(after)
        if old != new and field.name not in _BY_NAME:
            yield Change(field.name, _shown(old), _shown(new))
    yield from hidden_changes("", before.aws.others, after.aws.others)


def hidden_changes(
    path: str, before: Mapping[str, object], after: Mapping[str, object]
) -> Iterator[Change]:
    """What differs between mappings whose values are never shown.

    Args:
        path: What their names stand under.
        before: What is.
        after: What is to be.
    """
    for name in sorted({*before, *after}):
        full = f"{path}.{name}" if path else name
        if name not in before:
            yield Change(full, None, SET)
        elif name not in after:
            yield Change(full, SET, None)
        elif before[name] != after[name]:
            yield Change(full, SET, CHANGED)


def _schedules(settings: FunctionSettings) -> dict[str, Schedule]:
    return {schedule.name: schedule for schedule in settings.schedules}


def _shown(value: Any) -> Any:
    """What a plan shows of a value: nothing of what is off, empty or left to the target."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    off = value is False or value in ("", [], {}, ())
    return None if off else value
