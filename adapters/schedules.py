"""The schedules of a function, as ``serverless.yml`` says them.

``events: - schedule:`` has the framework's forms. What EventBridge Scheduler has beyond them stands
under ``custom.bentofn.functions.NAME.schedules``, by the schedule's name.

Source: https://www.serverless.com/framework/docs/providers/aws/events/schedule and
https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import date, datetime, timezone
from typing import Any

from bentofn.adapters.local.core.schedules.expressions import parse, read_zone
from bentofn.adapters.schedule import LONGEST_AGE, MOST_RETRIES, Method, Schedule
from bentofn.adapters.yamltree import Node

_NAME = re.compile(r"[.\-_A-Za-z0-9]{1,64}\Z")
_LONGEST_INPUT = 8192
_LONGEST_WINDOW = 1440

# fmt: off
_EVENT_KEYS = [
    "rate", "enabled", "name", "description", "input", "inputPath", "inputTransformer", "method",
    "roleArn", "timezone",
]
_CUSTOM_KEYS = [
    "rate", "enabled", "description", "input", "timezone", "api", "startDate", "endDate",
    "flexibleTimeWindow", "maximumRetryAttempts", "maximumEventAge", "actionAfterCompletion",
]
# fmt: on


def read_schedules(events: Node, custom: Node) -> tuple[Schedule, ...]:
    """The schedules among a function's events, with what ``custom`` adds to them.

    Args:
        events: The function's ``events``.
        custom: Its ``custom.bentofn`` section's ``schedules``.

    Raises:
        UserError: One is wrong; says the file, the key path and why.
    """
    found: dict[str, Schedule] = {}
    number = 0
    for event in events.items():
        if not event.is_mapping or event["schedule"].value is None:
            continue
        for schedule in _of_event(event["schedule"], number):
            number += 1
            if schedule.name in found:
                raise event["schedule"]["name"].error(f"there are two schedules {schedule.name!r}")
            found[schedule.name] = schedule
    added = custom.keys()
    for name in added:
        found[name] = _customised(custom[name], name, found)
    return tuple(found.values())


def other_events(events: tuple[Any, ...]) -> list[str]:
    """The kinds of events among those as written that are not schedules."""
    kinds: list[str] = []
    for event in events:
        names = [str(each) for each in event] if isinstance(event, Mapping) else [str(event)]
        kinds += [name for name in names if name != "schedule" and name not in kinds]
    return kinds


def _of_event(node: Node, before: int) -> list[Schedule]:
    if not node.is_mapping:
        expression = _expression(node, "UTC", once=False)
        return [Schedule(f"schedule-{before + 1}", expression)]
    node.only(_EVENT_KEYS)
    method: Method = node["method"].choice("eventBus", "scheduler")
    if node["inputTransformer"].value is not None:
        raise node["inputTransformer"].error("it is not supported by bentofn; use input instead")
    if method == "scheduler" and node["inputPath"].value is not None:
        raise node["inputPath"].error("method: scheduler takes none; use input instead")
    if method == "eventBus" and node["timezone"].value is not None:
        raise node["timezone"].error("it takes method: scheduler beside it")
    zone = _zone(node["timezone"])
    rates = node["rate"].items() if isinstance(node["rate"].value, list) else [node["rate"]]
    name = node["name"].text(default="")
    if name and (len(rates) > 1 or not _NAME.match(name)):
        problem = "only a schedule with one rate can have one" if len(rates) > 1 else _name_rule()
        raise node["name"].error(problem)
    if not rates:
        raise node["rate"].error("it is empty; give it one expression at least")
    path = node["inputPath"].text(default="") or None
    if path is not None and not path.startswith("$"):
        raise node["inputPath"].error("it is no JSON path; write one as $.detail")
    return [
        Schedule(
            name=name or f"schedule-{before + 1 + index}",
            expression=_expression(rate, zone, once=False),
            timezone=zone,
            method=method,
            enabled=node["enabled"].boolean(default=True),
            description=node["description"].text(default=""),
            input=_input(node["input"]),
            input_path=path,
        )
        for index, rate in enumerate(rates)
    ]


def _customised(node: Node, name: str, events: Mapping[str, Schedule]) -> Schedule:
    node.only(_CUSTOM_KEYS)
    given = events.get(name)
    zone = _zone(node["timezone"]) if given is None else given.timezone
    if given is None:
        if node["rate"].value is None:
            known = f"; those are {', '.join(events)}" if events else ""
            raise node.error(
                f"none of the function's events is a schedule of this name{known}, and it says no "
                "rate of its own"
            )
        if not _NAME.match(name):
            raise node.error(_name_rule())
        given = Schedule(name, _expression(node["rate"], zone, once=True), zone, "scheduler")
    else:
        for key in ("rate", "timezone", "input", "enabled", "description"):
            if node[key].value is not None:
                raise node[key].error("it stands in the function's events already")
    start, end = _moment(node["startDate"]), _moment(node["endDate"])
    if start is not None and end is not None and end <= start:
        raise node["endDate"].error("it is not after startDate")
    return dataclasses.replace(
        given,
        enabled=given.enabled and node["enabled"].boolean(default=True),
        description=given.description or node["description"].text(default=""),
        input=given.input if node["input"].value is None else _input(node["input"]),
        api=node["api"].text(default="") or None,
        start=start,
        end=end,
        window=_bounded(node["flexibleTimeWindow"], 0, 1, _LONGEST_WINDOW),
        retries=_bounded(node["maximumRetryAttempts"], MOST_RETRIES, 0, MOST_RETRIES),
        longest_age=_bounded(node["maximumEventAge"], LONGEST_AGE, 60, LONGEST_AGE),
        delete=node["actionAfterCompletion"].choice("NONE", "DELETE") == "DELETE",
    )


def _expression(node: Node, zone: str, *, once: bool) -> str:
    text = node.text().strip()
    try:
        parse(text, read_zone(zone))
    except ValueError as error:
        raise node.error(str(error)) from None
    if text.startswith("at(") and not once:
        raise node.error(
            "the framework takes no at() here; write it under "
            "custom.bentofn.functions.NAME.schedules"
        )
    return text


def _zone(node: Node) -> str:
    name = node.text(default="UTC")
    try:
        read_zone(name)
    except ValueError as error:
        raise node.error(str(error)) from None
    return name


def _input(node: Node) -> str | None:
    """What the framework sends of ``input``: an object as JSON, and in it ``body`` from JSON."""
    value = node.resolved()
    if value is None:
        return None
    try:
        if isinstance(value, dict):
            if isinstance(value.get("body"), str):
                value = {**value, "body": json.loads(value["body"])}
            text = json.dumps(value)
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            json.loads(text)
    except (ValueError, TypeError):
        raise node.error("it must be an object, or JSON in a text") from None
    node.without_cloud_formation(text)
    if len(text) > _LONGEST_INPUT:
        raise node.error(f"it is longer than {_LONGEST_INPUT} characters, AWS's limit")
    return text


def _moment(node: Node) -> float | None:
    """A date and time in UTC, where it says no other zone; YAML may have read it as one already."""
    value = node.value
    if value is None:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        try:
            # Python 3.10 does not know the Z.
            value = datetime.fromisoformat(re.sub(r"[zZ]\Z", "+00:00", str(value)))
        except ValueError:
            raise node.error("it is no date; write one as 2030-01-31T09:00:00Z") from None
    return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp()


def _bounded(node: Node, default: int, least: int, most: int) -> int:
    number = node.integer(default=default, least=least)
    if number > most:
        raise node.error(f"it must be {most} at most")
    return number


def _name_rule() -> str:
    return "a schedule's name is at most 64 letters, digits, ., - and _"
