"""What a function is given when a schedule calls it: its input, or EventBridge's event.

Source: https://docs.aws.amazon.com/eventbridge/latest/ref/events-ref-scheduled-events.html and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
"""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timezone
from typing import Any

from bentofn.adapters.local.core.schedules.messages import Run
from bentofn.adapters.local.lambda_.api.names import ACCOUNT, REGION
from bentofn.adapters.schedule import Schedule

_EXECUTIONS = uuid.UUID("5f6f1b1e-6d0c-4d0b-9d6a-2f9a3f0f7c11")


def request_body(function: str, schedule: Schedule, run: Run) -> bytes:
    """The body of the request that an endpoint gets: the input, else no arguments."""
    return (_given(function, schedule, run) or "{}").encode()


def lambda_event(function: str, schedule: Schedule, run: Run) -> bytes:
    """The event that a Lambda handler gets: the input, else what EventBridge says happened."""
    given = _given(function, schedule, run)
    if given is not None:
        return given.encode()
    event = _event(function, schedule, run)
    part = _part(event, schedule.input_path) if schedule.input_path is not None else event
    return json.dumps(part).encode()


def execution_id(function: str, run: Run) -> str:
    """Names a run; its retries have the same."""
    return str(uuid.uuid5(_EXECUTIONS, f"{function} {run.schedule} {run.scheduled}"))


def _given(function: str, schedule: Schedule, run: Run) -> str | None:
    if schedule.input is None or schedule.method != "scheduler":
        return schedule.input
    text = schedule.input
    for name, value in {
        "schedule-arn": _arn(function, schedule),
        "scheduled-time": _moment(run.scheduled),
        "execution-id": execution_id(function, run),
        "attempt-number": str(run.attempt),
    }.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def _event(function: str, schedule: Schedule, run: Run) -> dict[str, Any]:
    # EventBridge Scheduler's detail is the text of an empty object, a rule's the object.
    scheduler = schedule.method == "scheduler"
    return {
        "version": "0",
        "id": execution_id(function, run),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler" if scheduler else "aws.events",
        "account": ACCOUNT,
        "time": _moment(run.scheduled),
        "region": REGION,
        "resources": [_arn(function, schedule)],
        "detail": "{}" if scheduler else {},
    }


def _arn(function: str, schedule: Schedule) -> str:
    if schedule.method == "scheduler":
        return f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{function}-{schedule.name}"
    return f"arn:aws:events:{REGION}:{ACCOUNT}:rule/{function}-{schedule.name}"


def _part(event: Any, path: str) -> Any:
    """What ``$.a.b`` is of an event; null if it has no such part, as EventBridge sends it."""
    for key in path.lstrip("$").split("."):
        if key:
            event = event.get(key) if isinstance(event, dict) else None
    return event


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
