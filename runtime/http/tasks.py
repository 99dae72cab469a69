"""The tasks of a service over HTTP: a lone instance keeps a queue, a platform's runs what comes.

A platform that keeps the queue posts each task to ``ROUTE/.run`` with its id in a header, which it
takes from no caller.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
from functools import partial
from typing import Any, Protocol

from bentofn.runtime.errors import BentoMLException, UserError
from bentofn.runtime.http.admission import Admission, Counted
from bentofn.runtime.http.errors import NOT_FOUND
from bentofn.runtime.http.exchange import ClientLeftError, Exchange, Header, Message, Reply, Scope
from bentofn.runtime.http.extra import Answer
from bentofn.runtime.http.interrupt import WhileConnected
from bentofn.runtime.service import Service
from bentofn.runtime.tasks.opening import open_tasks, tasks_database
from bentofn.runtime.tasks.routes import ACTIONS, MAX_BODY, Question, answer, json_replay, lasting
from bentofn.runtime.tasks.stopping import Stopper, current_stopper
from bentofn.runtime.tasks.store import RETENTION, Headers, Replay, TaskRequest
from bentofn.runtime.tasks.tasks import Tasks, failure

logger = logging.getLogger("bentofn.server")

TASK_HEADER = b"x-bentofn-task"
"""A platform's header: the id of the task that a request runs."""

RUN = ".run"
"""What a platform posts a task to, below its route."""

_PATIENCE = 5.0
"""Seconds for tasks that run when the instance is stopped."""


class Application(Protocol):
    """What serves a service."""

    service: Service[Any]
    admission: Admission

    def endpoint(self, path: str) -> Counted:
        """What answers on the path of an endpoint."""


class ServiceTasks:
    """The routes of a service's tasks.

    Args:
        app: The application.
        at_once: Whether the database is opened at the start, even if there is none yet, and not
            with the first task.

    Raises:
        UserError: A task's route is a template.
    """

    def __init__(self, app: Application, *, at_once: bool) -> None:
        self._app = app
        self._at_once = at_once
        self._tasks: Tasks | None = None
        self._opening: asyncio.Lock | None = None
        self._obeys = False
        self.routes: dict[tuple[str, str], Answer] = {}
        for method in app.service.apis.values():
            if not method.is_task:
                continue
            if "{" in method.route:
                raise UserError(f"{method.location}: the route of a task takes no parameters.")
            path = app.service.path_prefix + method.route
            below = path.rstrip("/")
            self.routes["POST", f"{below}/{RUN}"] = partial(self._run, path)
            for action, verb in ACTIONS.items():
                self.routes[verb, f"{below}/{action}"] = partial(self._answer, action, path)

    async def start(self) -> None:
        """Open the database and take up what was left, unless a platform keeps the tasks.

        Raises:
            UserError: The database cannot be opened now, as on a full disk.
        """
        # Not earlier: a process that becomes instances learns only then of which platform.
        self._obeys = bool(os.environ.get("BENTOFN_INSTANCE"))
        if self._obeys:
            return
        self._opening = asyncio.Lock()
        if self._at_once or tasks_database(self._app.service.name).exists():
            await self._open()

    async def _open(self) -> Tasks | None:
        """The tasks, opened; None where a platform keeps them, or nothing is served.

        Raises:
            UserError: The database cannot be opened now.
        """
        if self._opening is None:
            return None
        async with self._opening:
            if self._tasks is None:
                service = self._app.service
                limit = service.config["traffic"]["concurrency"]
                self._tasks = await open_tasks(service.name, self._call, limit)
                if self._app.admission.metrics is not None:
                    self._app.admission.metrics.tasks = partial(_counts, self._tasks)
        return self._tasks

    async def stop(self) -> None:
        """Let tasks end, or keep them for the next start."""
        self._opening = None
        if self._tasks is not None:
            await self._tasks.stop(_PATIENCE)
            self._tasks = None

    async def _run(self, path: str, exchange: Exchange) -> None:
        """Run what the platform says."""
        headers = dict(exchange.scope["headers"])
        if not self._obeys or TASK_HEADER not in headers:
            await exchange.reply(NOT_FOUND)
            return
        task = headers[TASK_HEADER].decode("latin-1")
        scope = {**exchange.scope, "path": path, "state": {"task_id": task}}
        try:
            body = await exchange.body()
            with WhileConnected(exchange):
                replay = await _run(self._app, path, scope, body)
        except ClientLeftError:
            return
        except BentoMLException as error:
            replay = _too_large(error)
        await _send(exchange, replay)

    async def _answer(self, action: str, path: str, exchange: Exchange) -> None:
        try:
            tasks = await self._open()
        except UserError as error:
            await _send(exchange, json_replay(503, {"error": str(error)}))
            return
        if tasks is None:
            await exchange.reply(NOT_FOUND)
            return
        scope = exchange.scope
        exchange.max_body = min(exchange.max_body, MAX_BODY)
        try:
            body = await exchange.body() if action == "submit" else b""
        except ClientLeftError:
            return
        except BentoMLException as error:
            await _send(exchange, _too_large(error))
            return
        question = Question(
            action, path, scope["query_string"].decode("latin-1"), _text(scope["headers"]), body
        )
        try:
            replay = await answer(tasks, question)
        except sqlite3.Error:
            logger.exception("The tasks in %s cannot be read or written", tasks.path)
            replay = json_replay(
                503, {"error": f"The tasks in {tasks.path} cannot be read or written now."}
            )
        await _send(exchange, replay)

    async def _call(self, request: TaskRequest) -> Replay:
        path = request.route.encode()
        scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": request.route,
            "raw_path": path,
            "root_path": "",
            "query_string": request.query.encode("latin-1"),
            "headers": [
                *_raw(request.headers),
                (b"content-length", str(len(request.body)).encode()),
            ],
            "client": None,
            "server": None,
            "state": {"task_id": request.id},
        }
        return await _run(self._app, request.route, scope, request.body)


async def _run(app: Application, path: str, scope: Scope, body: bytes) -> Replay:
    """Run one task; if this is cancelled, so is the method that runs.

    It has waited its turn: the service's limits of requests and of time are not for it.
    """
    admission = Admission({"timeout": RETENTION})
    admission.metrics = app.admission.metrics
    answered = _Answered(body)
    stopper = Stopper()
    current_stopper.set(stopper)
    try:
        exchange = Exchange(scope, answered.receive, answered.send, b"")
        await admission.answer(exchange, app.endpoint(path))
    except asyncio.CancelledError:
        stopper.stop()
        raise
    return answered.replay()


def _counts(tasks: Tasks) -> dict[str, int]:
    return {"waiting": tasks.waiting, "running": tasks.running}


class _Answered:
    """The two ends of a request that nobody waits for at a connection."""

    def __init__(self, body: bytes) -> None:
        self._request: list[Message] = [{"type": "http.request", "body": body}]
        self._status = 500
        self._headers: Headers = ()
        self._body = bytearray()

    async def receive(self) -> Message:
        if self._request:
            return self._request.pop()
        await asyncio.Event().wait()  # nobody leaves
        raise AssertionError

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = lasting(_text(message["headers"]))
        elif len(self._body) <= MAX_BODY:
            self._body += message.get("body", b"")

    def replay(self) -> Replay:
        if len(self._body) > MAX_BODY:
            return failure(f"The result is larger than {MAX_BODY} bytes, the limit of a task.")
        return Replay(self._status, self._headers, bytes(self._body))


def _too_large(error: BentoMLException) -> Replay:
    return json_replay(int(error.error_code), {"error": error.message})


def _text(headers: list[tuple[bytes, bytes]]) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)


def _raw(headers: Headers) -> tuple[Header, ...]:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in headers)


async def _send(exchange: Exchange, replay: Replay) -> None:
    media_type = next((v for name, v in replay.headers if name == "content-type"), "")
    others = _raw(tuple(each for each in replay.headers if each[0] != "content-type"))
    await exchange.reply(Reply(replay.status, replay.body, media_type, others))
