"""A function's schedules, by EventBridge Scheduler.

Source: https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from bentofn.adapters.aws_lambda.names import Names
from bentofn.adapters.schedule import Schedule


def schedule_of(schedule: Schedule, names: Names) -> dict[str, Any]:
    """A schedule as CreateSchedule takes it, without its name and group."""
    found: dict[str, Any] = {
        "ScheduleExpression": schedule.expression,
        "ScheduleExpressionTimezone": schedule.timezone,
        "State": "ENABLED" if schedule.enabled else "DISABLED",
        "Description": schedule.description,
        "FlexibleTimeWindow": _window(schedule.window),
        "ActionAfterCompletion": "DELETE" if schedule.delete else "NONE",
        "Target": {
            "Arn": names.alias_arn,
            "RoleArn": names.role_arn(names.schedule_role),
            "RetryPolicy": {
                "MaximumRetryAttempts": schedule.retries,
                "MaximumEventAgeInSeconds": schedule.longest_age,
            },
            **_input(schedule),
        },
    }
    for member, moment in (("StartDate", schedule.start), ("EndDate", schedule.end)):
        if moment is not None:
            found[member] = datetime.fromtimestamp(moment, timezone.utc)
    return found


def of_live(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule as GetSchedule tells it, in the same form."""
    target = raw.get("Target") or {}
    found: dict[str, Any] = {
        "ScheduleExpression": raw["ScheduleExpression"],
        "ScheduleExpressionTimezone": raw.get("ScheduleExpressionTimezone") or "UTC",
        "State": raw.get("State", "ENABLED"),
        "Description": raw.get("Description") or "",
        "FlexibleTimeWindow": dict(raw.get("FlexibleTimeWindow") or {"Mode": "OFF"}),
        "ActionAfterCompletion": raw.get("ActionAfterCompletion") or "NONE",
        "Target": {
            key: target[key] for key in ("Arn", "RoleArn", "RetryPolicy", "Input") if key in target
        },
    }
    for member in ("StartDate", "EndDate"):
        if raw.get(member):
            found[member] = raw[member].astimezone(timezone.utc)
    return found


def _window(minutes: int) -> dict[str, Any]:
    if not minutes:
        return {"Mode": "OFF"}
    return {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": minutes}


def _input(schedule: Schedule) -> dict[str, str]:
    """What the function is sent: the endpoint's body, under its name where one is named."""
    if schedule.api is None:
        return {} if schedule.input is None else {"Input": schedule.input}
    body = json.loads(schedule.input) if schedule.input is not None else {}
    return {"Input": json.dumps({"api": schedule.api, "body": body}, sort_keys=True)}
