"""What a client asks of a service's tasks, and the answers: BentoML's routes and bodies.

Below the route of each task stand ``POST submit``, ``GET status``, ``GET get``, ``POST retry`` and
``PUT cancel``; all but the first name the task in the query's ``task_id``.

Source: BentoML 1.4, ``_bentoml_impl/server/app.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from pydantic_core import to_json

from bentofn.runtime.proxy.addresses import HEADER as SIBLING
from bentofn.runtime.tasks.store import CANCELED, IN_PROGRESS, Headers, Replay, TaskRow
from bentofn.runtime.tasks.tasks import MOST_WAITING, Full, Tasks

ACTIONS: Mapping[str, str] = {
    "submit": "POST",
    "status": "GET",
    "get": "GET",
    "retry": "POST",
    "cancel": "PUT",
}
"""Last part of the path to its HTTP method."""

MAX_BODY = 256 * 1024 * 1024
"""Bytes that the body of a task, or its result, may hold."""

_PASSING = frozenset(
    "connection content-length date keep-alive proxy-authorization server te trailer "
    f"transfer-encoding upgrade x-bentofn-request-id x-bentoml-request-id {SIBLING}".split()
)
"""Headers that belong to one exchange, and are not kept."""


@dataclass(frozen=True)
class Question:
    """A request for one of the actions.

    Args:
        action: A key of :data:`ACTIONS`.
        route: The path of the task that it stands below.
        query: The query string, without its question mark.
        headers: The headers, names in lower case.
        body: The body.
    """

    action: str
    route: str
    query: str
    headers: Headers
    body: bytes


def lasting(headers: Headers) -> Headers:
    """The headers that are kept with a request or a result."""
    return tuple((name, value) for name, value in headers if name not in _PASSING)


def json_replay(status: int, content: object) -> Replay:
    """A response with a JSON body."""
    return Replay(status, (("content-type", "application/json"),), to_json(content))


async def answer(tasks: Tasks, question: Question) -> Replay:
    """Answer a request for one of the actions."""
    try:
        if question.action == "submit":
            return await _submit(tasks, question)
        task = parse_qs(question.query).get("task_id", [""])[0]
        if not task:
            return _refused(400, "task_id is required")
        if question.action == "cancel":
            return await _cancel(tasks, task)
        row = await tasks.row(task)
        if row is None:
            return _refused(404, "task_id not found")
        if question.action == "status":
            return json_replay(200, row.to_json())
        return await (_get if question.action == "get" else _retry)(tasks, row)
    except Full:
        return _refused(503, f"{MOST_WAITING} tasks wait already; try again later.")


async def _submit(tasks: Tasks, question: Question) -> Replay:
    if len(question.body) > MAX_BODY:
        return _refused(413, f"The body is larger than {MAX_BODY} bytes, the limit of a task.")
    task = await tasks.submit(
        question.route, question.query, lasting(question.headers), question.body
    )
    return _submitted(task)


async def _get(tasks: Tasks, row: TaskRow) -> Replay:
    reply = await tasks.reply(row.id)
    if row.state == CANCELED:
        return _refused(400, f"task {row.id} is canceled")
    return _not_completed(row) if reply is None else reply


async def _retry(tasks: Tasks, row: TaskRow) -> Replay:
    if row.ended is None:
        return _not_completed(row)
    try:
        return _submitted(await tasks.retry(row.id))
    except KeyError:  # it has just been forgotten
        return _refused(404, "task_id not found")


async def _cancel(tasks: Tasks, task: str) -> Replay:
    row = await tasks.cancel(task)
    if row is None:
        return _refused(404, "task_id not found")
    if row.state != CANCELED:
        return _refused(400, f"task {task} is already {row.state}")
    return json_replay(200, {"task_id": task, "status": CANCELED})


def _submitted(task: str) -> Replay:
    return json_replay(200, {"task_id": task, "status": IN_PROGRESS})


def _not_completed(row: TaskRow) -> Replay:
    return _refused(400, f"task {row.id} is not completed yet")


def _refused(status: int, sentence: str) -> Replay:
    return json_replay(status, {"error": sentence})
