"""What OpenAPI's document says of a task's routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentofn.runtime.tasks.routes import ACTIONS

_TEXTS: Mapping[str, str] = {
    "submit": "Submit a call, to be run when there is room.",
    "status": "How far a task is.",
    "get": "What the call answered.",
    "retry": "Submit the same call again.",
    "cancel": "Keep a task from running, or stop it.",
}
_TASK: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "task_id": {"type": "string"},
        "status": {"enum": ["in_progress", "completed", "failed", "canceled"]},
        **{
            name: {"type": ["string", "null"], "description": "UTC."}
            for name in ("created_at", "executed_at", "completed_at")
        },
    },
    "required": ["task_id", "status"],
}
_ID: Mapping[str, Any] = {
    "name": "task_id",
    "in": "query",
    "required": True,
    "schema": {"type": "string"},
}
_FAILURES: Mapping[str, str] = {
    "400": "The id is missing, or the task is not as far, or too far.",
    "404": "There is no such task.",
    "413": "The body is too large.",
    "503": "Too many tasks wait.",
}


def task_paths(route: str, call: Mapping[str, Any]) -> dict[str, Any]:
    """The paths below a task's route.

    Args:
        route: The route.
        call: The operation that calls the method directly.
    """
    return {
        f"{route.rstrip('/')}/{action}": {method.lower(): _operation(action, call)}
        for action, method in ACTIONS.items()
    }


def _operation(action: str, call: Mapping[str, Any]) -> dict[str, Any]:
    done: Any = {"description": "The task.", "content": {"application/json": {"schema": _TASK}}}
    responses = {status: {"description": text} for status, text in _FAILURES.items()}
    operation = {
        "operationId": f"{call['operationId']}_{action}",
        "summary": _TEXTS[action],
        "responses": {"200": done, **responses},
    }
    if action == "submit":
        return {**operation, "requestBody": call["requestBody"]}
    if action == "get":  # a call that failed is answered as it was
        operation["responses"] = {**responses, **call["responses"]}
    return {**operation, "parameters": [_ID]}
