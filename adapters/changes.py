"""What differs between a function as it is deployed and as it is to be."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from bentofn.adapters.capabilities import Capabilities
from bentofn.adapters.fields import FIELDS
from bentofn.adapters.plan import Change
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.secret import Secret
from bentofn.adapters.settings import FunctionSettings, FunctionSpec

SET, CHANGED = "set", "changed"
"""What stands in the place of values that are never shown."""

_BY_NAME = {
    "environment", "events.schedule", "schedules",
    *(field.name for field in FIELDS if field.name.startswith("secrets ")),
}  # fmt: skip
"""Fields whose members are told one by one."""


def changes_between(
    before: FunctionSpec | None, after: FunctionSpec, table: Capabilities | None = None
) -> tuple[Change, ...]:
    """What differs of a function that a target keeps as the spec that was applied.

    Args:
        before: As it is deployed, or None.
        after: As it is to be.
        table: What the target does with each field; of those that it ignores nothing is told here,
            since the plan names them already.
    """
    if before is None:
        stated = _told(FunctionSettings(), after.settings, table)
        return (
            Change("function", None, after.name),
            Change("bento", None, after.bento),
            *(Change(each.path, None, each.after) for each in stated if each.after is not None),
        )
    replaced = (Change("bento", before.bento, after.bento),) if before.bento != after.bento else ()
    found = (*replaced, *_told(before.settings, after.settings, table))
    if not found and before != after:
        return (Change("settings", SET, CHANGED),)  # of what has no field of its own
    return found


def _told(
    before: FunctionSettings, after: FunctionSettings, table: Capabilities | None
) -> Iterator[Change]:
    found = list(settings_changes(before, after))
    ignored = [each for each in found if table and table.of(each.path).support == "ignored"]
    # A new version is made for them too: where nothing else tells why, they do.
    yield from [each for each in found if each not in ignored] or ignored


def settings_changes(before: FunctionSettings, after: FunctionSettings) -> Iterator[Change]:
    """What differs between settings, by field, and by variable for the environment."""
    yield from hidden_changes("environment", _variables(before), _variables(after))
    yield from hidden_changes("secrets", _secrets(before), _secrets(after))
    yield from _schedule_changes(before, after)
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


def _variables(settings: FunctionSettings) -> dict[str, str]:
    """Those that are no secrets: a target may keep what those were among them."""
    return {k: value for k, value in settings.environment.items() if k not in settings.secrets}


def _secrets(settings: FunctionSettings) -> dict[str, tuple[Secret, str | None]]:
    """Where each is, and what tells its value from another where a target keeps that."""
    return {k: (each, settings.environment.get(k)) for k, each in settings.secrets.items()}


def _schedule_changes(before: FunctionSettings, after: FunctionSettings) -> Iterator[Change]:
    old = {each.name: each for each in before.schedules}
    new = {each.name: each for each in after.schedules}
    for name in sorted({*old, *new}):
        if old.get(name) == new.get(name):
            continue
        shown = tuple(_when(each.get(name)) for each in (old, new))
        was, becomes = (SET, CHANGED) if shown[0] == shown[1] else shown
        yield Change(f"schedules.{name}", was, becomes)


def _when(schedule: Schedule | None) -> str | None:
    if schedule is None:
        return None
    zone = "" if schedule.timezone == "UTC" else f" {schedule.timezone}"
    return schedule.expression + zone


def _shown(value: Any) -> Any:
    """What a plan shows of a value: nothing of what is off, empty or left to the target."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {key: each for key, each in dataclasses.asdict(value).items() if each}
    off = value is False or value in ("", [], {}, ())
    return None if off else value
