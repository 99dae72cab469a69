"""The tasks of deployed functions: the platform keeps them, and has the instances run them.

A task that runs is a request of its instance's, which is therefore not stopped under it, and one
that waits is on disk, where it survives the platform. No limit of time holds for a task.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote

import aiohttp
from multidict import CIMultiDict

from bentofn.adapters.local.front.request import Request, replaced
from bentofn.adapters.local.journal.request_ids import FORWARDED_REQUEST_ID
from bentofn.adapters.local.revision import Revision
from bentofn.adapters.local.tickets import Assignment, Refused, Ticket
from bentofn.adapters.local.upstream import Unreachable
from bentofn.runtime.http.exchange import Header
from bentofn.runtime.tasks.routes import ACTIONS, MAX_BODY, Question, answer, lasting
from bentofn.runtime.tasks.store import Headers, Replay, TaskRequest
from bentofn.runtime.tasks.tasks import Interrupted, Tasks, failure

TASK = "X-Bentofn-Task"
"""Header that tells an instance which task a request runs; no caller's gets through."""

_EXPLANATION = 3.0
"""Seconds that a failure waits for the reason for which its instance broke off."""


class FunctionTasks:
    """The tasks of one function.

    Args:
        path: Their database.
        live: The function's live revision.
    """

    def __init__(self, path: Path, live: Callable[[], Revision | None]) -> None:
        self._path = path
        self._live = live
        self._tasks: Tasks | None = None
        self._changing = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Tasks that wait to be run."""
        return self._tasks.waiting if self._tasks is not None else 0

    async def follow(self, revision: Revision) -> None:
        """Run the tasks with what a revision has room for, if it has tasks.

        Raises:
            OSError: The database's directory cannot be written.
            sqlite3.Error: It is no database, or full.
        """
        async with self._changing:
            if not revision.task_routes:
                return
            if self._tasks is None:
                tasks = Tasks(self._path, self._run, revision.room)
                await tasks.start()
                self._tasks = tasks
            else:
                await self._tasks.set_limit(revision.room)

    async def close(self, patience: float) -> None:
        """Let what runs end, and keep the rest for the next start.

        Args:
            patience: Seconds for what runs.
        """
        async with self._changing:
            if self._tasks is not None:
                await self._tasks.stop(patience)
                self._tasks = None

    async def discard(self) -> None:
        """End what runs and forget everything."""
        await self.close(0.0)
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink(missing_ok=True)

    def question(self, method: str, path: str) -> tuple[str, str] | None:
        """The action and the task's route that a request asks for; None if it is another's.

        Args:
            method: The HTTP method.
            path: The path below the function's name, as it came.
        """
        revision = self._live()
        if self._tasks is None or revision is None or not revision.task_routes:
            return None
        route, _, action = unquote(path).rpartition("/")
        known = (route or "/") in revision.task_routes and ACTIONS.get(action) == method
        return (action, route or "/") if known else None

    async def answer(
        self,
        asked: tuple[str, str],
        request: Request,
        payload_limit: int,
        trace: Mapping[str, str],
    ) -> Replay:
        """Answer a request that :meth:`question` knows.

        Args:
            asked: What that returned.
            request: The caller's request.
            payload_limit: Bytes that the body may hold.
            trace: Headers that name the request's trace, which the task will belong to.

        Raises:
            Refused: Its body is too large, or the tasks cannot be kept.
        """
        tasks = self._tasks
        if tasks is None:
            raise Refused(503, "The function is being stopped.")
        action, route = asked
        body = await request.body(payload_limit) if action == "submit" else b""
        headers = lasting(_text(replaced(request.headers.pairs, trace)))
        query = request.target.partition("?")[2]
        try:
            return await answer(tasks, Question(action, route, query, headers, body))
        except sqlite3.Error as error:
            raise Refused(503, f"The tasks cannot be kept or read: {error}.") from error

    async def _run(self, request: TaskRequest) -> Replay:
        revision = self._live()
        if revision is None:
            raise Interrupted("the function is being stopped")
        told = dict(request.headers)
        record = revision.record(request.id, "POST", request.route, len(request.body), told)
        ticket = revision.submit(record)
        cancelled = True
        try:
            assignment = await ticket.assigned
            replay = await self._ask(ticket, assignment, request, record.trace_headers())
            cancelled = False
            record.size = len(replay.body)
            record.answered(replay.status)
        except Refused as refusal:
            record.refused(refusal.status, refusal.reason)
            raise Interrupted(refusal.reason) from refusal
        except Unreachable as error:
            revision.lost(assignment.instance)
            raise Interrupted("its instance had ended before") from error
        finally:
            revision.release(ticket, cancelled=cancelled)
            record.close()
        return replay

    async def _ask(
        self,
        ticket: Ticket,
        assignment: Assignment,
        request: TaskRequest,
        trace: Mapping[str, str],
    ) -> Replay:
        transfer = asyncio.create_task(_transfer(assignment, request, trace))
        waiting: set[asyncio.Future[Replay] | asyncio.Future[Refused]]
        waiting = {transfer, ticket.interrupted}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not transfer.done():
                raise ticket.interrupted.result()
            return transfer.result()
        except aiohttp.ClientError as error:
            # An instance that was killed is known to be dead a moment later, and of what.
            await asyncio.wait([ticket.interrupted], timeout=_EXPLANATION)
            if ticket.interrupted.done():
                raise ticket.interrupted.result() from error
            raise Interrupted(f"its instance broke off: {error}") from error
        finally:
            transfer.cancel()
            with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError, Unreachable):
                await transfer


async def _transfer(
    assignment: Assignment, request: TaskRequest, trace: Mapping[str, str]
) -> Replay:
    headers = CIMultiDict(request.headers)
    headers.update(trace)
    headers[TASK] = headers[FORWARDED_REQUEST_ID] = request.id
    query = f"?{request.query}" if request.query else ""
    path = f"{request.route.rstrip('/')}/.run{query}"
    response = await assignment.upstream.send("POST", path, headers, request.body)
    async with response:
        body = bytearray()
        async for chunk in response.chunks():
            body += chunk
            if len(body) > MAX_BODY:
                return failure(f"The result is larger than {MAX_BODY} bytes, the limit of a task.")
        return Replay(response.status, lasting(_text(response.headers)), bytes(body))


def _text(headers: Sequence[Header]) -> Headers:
    return tuple(
        (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
        for name, value in headers
    )
