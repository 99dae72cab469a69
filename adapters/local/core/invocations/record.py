"""The record of an asynchronous invocation, as its destination gets it: version 1.0.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from bentofn.adapters.local.core.invocations.queue import Condition, Entry


@dataclass(frozen=True)
class Response:
    """What a function answered last.

    Args:
        version: The version that ran, ``$LATEST`` or a number.
        payload: JSON.
        error: ``Handled`` or ``Unhandled`` if it failed, else None.
    """

    version: str
    payload: bytes
    error: str | None = None


def record(
    entry: Entry,
    condition: Condition,
    arn: str,
    payload: bytes,
    response: Response | None,
    now: float,
) -> dict[str, Any]:
    """The record.

    Args:
        entry: The event.
        condition: What became of it.
        arn: The function's, with its qualifier or ``$LATEST``.
        payload: The event's JSON.
        response: What the function answered, where that is why it is over.
        now: Seconds since the epoch.
    """
    moment = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="milliseconds")
    document: dict[str, Any] = {
        "version": "1.0",
        "timestamp": moment.replace("+00:00", "Z"),
        "requestContext": {
            "requestId": entry.id,
            "functionArn": arn,
            "condition": condition,
            "approximateInvokeCount": entry.runs,
        },
        "requestPayload": _parsed(payload),
    }
    if response is not None:
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": response.version}
        if response.error is not None:
            context["functionError"] = response.error
        document["responseContext"] = context
        document["responsePayload"] = _parsed(response.payload)
    return document


def letter(
    entry: Entry, payload: bytes, response: Response | None, *, topic: bool
) -> dict[str, Any]:
    """What a dead-letter queue or topic gets: the event itself, and why it was given up.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
    (Adding a dead-letter queue); the members are those of the messages of SQS and SNS.

    Args:
        entry: The event.
        payload: Its JSON.
        response: What the function answered last; None where it was not run any more.
        topic: Whether it is a topic's message.
    """
    code, message = 429, "Rate Exceeded."
    if response is not None:
        parsed = _parsed(response.payload)
        found = parsed.get("errorMessage") if isinstance(parsed, dict) else None
        code, message = 200, found if isinstance(found, str) else ""
    attributes = (
        ("RequestID", "String", entry.id),
        ("ErrorCode", "Number", str(code)),
        ("ErrorMessage", "String", message.encode()[:1024].decode(errors="ignore")),
    )
    body = payload.decode(errors="replace")
    if topic:
        told = {name: {"Type": kind, "Value": value} for name, kind, value in attributes}
        return {"Type": "Notification", "Message": body, "MessageAttributes": told}
    told = {name: {"DataType": kind, "StringValue": value} for name, kind, value in attributes}
    return {"Body": body, "MessageAttributes": told}


def _parsed(payload: bytes) -> Any:
    """JSON as it is, anything else as text."""
    try:
        return json.loads(payload) if payload else None
    except ValueError:
        return payload.decode(errors="replace")
