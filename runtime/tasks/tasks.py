"""The tasks of one service: the queue's decisions carried out with a database and a loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path

from bentofn.runtime.tasks.core import Command, GiveUp, Start, Stop, TaskQueue, WakeAt
from bentofn.runtime.tasks.disk import Disk
from bentofn.runtime.tasks.store import Headers, Replay, TaskRequest, TaskRow

logger = logging.getLogger("bentofn.tasks")

MOST_WAITING = 10_000
"""Tasks of a service that may wait."""

_LOOK = 0.25
"""Seconds between two looks for what other processes have cancelled, while tasks are unfinished."""

Call = Callable[[TaskRequest], Awaitable[Replay]]


class Interrupted(Exception):  # noqa: N818 - what happened to a task, not an error of ours
    """What ran a task ended before the task did; it may be run again."""


class Full(Exception):  # noqa: N818 - an answer, not an error of ours
    """As many tasks wait as may."""


class Tasks:
    """Keeps, runs and remembers the tasks of one service.

    Args:
        path: The database.
        call: Runs a task; may raise :class:`Interrupted`, and is cancelled with its task.
        limit: Tasks that run at a time.
        now: Seconds since the epoch.
    """

    def __init__(
        self, path: Path, call: Call, limit: int, now: Callable[[], float] = time.time
    ) -> None:
        self.path = path
        self._call = call
        self._limit = limit
        self._now = now
        self._queue = TaskQueue(limit)
        self._attempts: dict[str, asyncio.Task[str | None]] = {}
        """What runs for each task; it is stopped by being cancelled."""
        self._lives: set[asyncio.Task[None]] = set()
        self._unfinished: set[str] = set()
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def waiting(self) -> int:
        """Tasks that wait."""
        return self._queue.waiting

    @property
    def running(self) -> int:
        """Tasks that run."""
        return self._queue.running

    async def start(self) -> None:
        """Open the database and take up what processes that ended have left; needs a loop.

        Raises:
            OSError: The database's directory cannot be written.
            sqlite3.Error: It is no database, or full.
        """
        self._loop = asyncio.get_running_loop()
        self._queue = TaskQueue(self._limit)
        self._stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._disk = Disk(self.path)
        for task, begun in await self._disk.open():
            self._enqueue(task, begun)

    async def stop(self, patience: float) -> None:
        """Let what runs end, keep what has not for the next start, and close the database.

        Args:
            patience: Seconds for what runs.
        """
        self._queue.close()
        if self._lives:
            await asyncio.wait(self._lives, timeout=patience)
        self._stopping = True
        for attempt in self._attempts.values():
            attempt.cancel()
        if self._lives:
            await asyncio.wait(self._lives)
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await self._disk.close()

    async def set_limit(self, limit: int) -> None:
        """Run so many tasks at a time from now on."""
        self._limit = self._queue.limit = limit
        self._obey(self._queue.tick(self._loop.time()))

    async def submit(self, route: str, query: str, headers: Headers, body: bytes) -> str:
        """Take in a task; it is on disk when this returns its id.

        Args:
            route: The path that answers such calls directly.
            query: The query string, without its question mark.
            headers: The headers, names in lower case.
            body: The body.

        Raises:
            Full: Too many wait.
        """
        if self._queue.waiting >= MOST_WAITING:
            raise Full
        task = uuid.uuid4().hex
        request = TaskRequest(task, route, query, headers, body)
        # Once begun it is done to its end: a task on disk that nobody runs would wait for ever.
        await asyncio.shield(asyncio.ensure_future(self._take(request)))
        return task

    async def retry(self, task: str) -> str:
        """Submit what was submitted once more.

        Raises:
            KeyError: There is no such task.
            Full: Too many wait.
        """
        request = await self._disk.run(self._disk.store.request, task)
        if request is None:
            raise KeyError(task)
        return await self.submit(request.route, request.query, request.headers, request.body)

    async def row(self, task: str) -> TaskRow | None:
        """How far a task is; None if there is none."""
        return await self._disk.run(self._disk.store.row, task)

    async def reply(self, task: str) -> Replay | None:
        """A task's result; None if it has none."""
        return await self._disk.run(self._disk.store.reply, task)

    async def cancel(self, task: str) -> TaskRow | None:
        """Keep a task from running, or stop it, unless it has ended.

        Returns:
            How it then stands, None if there is none.
        """
        row = await self._disk.run(self._disk.store.cancel, task, self._now())
        if task in self._unfinished:
            self._cancelled(task)
        return row

    async def _take(self, request: TaskRequest) -> None:
        await self._disk.run(self._disk.store.add, request, self._now())
        self._enqueue(request.id, 0)

    def _enqueue(self, task: str, begun: int) -> None:
        self._unfinished.add(task)
        if self._watch is None or self._watch.done():
            self._watch = self._loop.create_task(self._heed_others())
        self._obey(self._queue.submitted(task, self._loop.time(), begun))

    def _cancelled(self, task: str) -> None:
        self._unfinished.discard(task)
        self._obey(self._queue.cancelled(task, self._loop.time()))

    def _obey(self, commands: list[Command]) -> None:
        """Carry out all commands at once: the queue counts on each from now on."""
        for command in commands:
            match command:
                case Start(task):
                    self._begin(task, self._attempt(task))
                case Stop(task):
                    self._attempts[task].cancel()
                case GiveUp(task, reason):
                    logger.error("Task %s failed: %s", task, reason)
                    self._begin(task, self._finish(task, failure(reason)))
                case WakeAt(moment):
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = self._loop.call_at(moment, self._wake)

    def _begin(self, task: str, work: Coroutine[None, None, str | None]) -> None:
        attempt = self._attempts[task] = self._loop.create_task(work)
        life = self._loop.create_task(self._live(task, attempt))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)

    def _wake(self) -> None:
        self._obey(self._queue.tick(self._loop.time()))

    async def _live(self, task: str, attempt: asyncio.Task[str | None]) -> None:
        """See what runs for a task to its end, whatever that is."""
        await asyncio.wait([attempt])
        if attempt.cancelled() and self._stopping:
            with contextlib.suppress(sqlite3.Error):  # it then counts as begun, at worst
                await self._disk.run(partial(self._disk.store.wait_again, task, counts=False))
        del self._attempts[task]
        now = self._loop.time()
        if attempt.cancelled():
            commands = self._queue.ended(task, now)
        elif error := attempt.exception():
            logger.error("The tasks in %s cannot be written", self.path, exc_info=error)
            commands = self._queue.interrupted(task, str(error), now)
        elif reason := attempt.result():
            commands = self._queue.interrupted(task, reason, now)
        else:
            commands = self._queue.ended(task, now)
        self._obey(commands)

    async def _attempt(self, task: str) -> str | None:
        """Run a task once; returns why it must run again, None if it has ended.

        It keeps its place while the disk is full: no more run whose results could not be kept.
        """
        request = await self._disk.write(self._disk.store.begin, task, self._now())
        if request is None:
            return None
        try:
            reply = await self._call(request)
        except Interrupted as error:
            return await self._again(task, str(error) or "it was interrupted")
        except asyncio.CancelledError:
            if self._stopping or task not in self._unfinished:
                raise
            return await self._again(task, "something that it waited for was cancelled")
        except Exception:
            logger.exception("Task %s failed", task)
            reply = failure("An unexpected error has occurred, please check the server log.")
        await self._finish(task, reply)
        return None

    async def _again(self, task: str, reason: str) -> str:
        logger.warning("Task %s was interrupted: %s", task, reason)
        await self._disk.write(partial(self._disk.store.wait_again, task, counts=True))
        return reason

    async def _finish(self, task: str, reply: Replay) -> None:
        await self._disk.write(self._disk.store.finish, task, reply, self._now())
        self._unfinished.discard(task)

    async def _heed_others(self) -> None:
        """Stop what another process cancels, while there is anything to stop."""
        while self._unfinished:
            unfinished = list(self._unfinished)
            with contextlib.suppress(sqlite3.Error):  # what writes says so
                for task in await self._disk.run(self._disk.store.ended_elsewhere, unfinished):
                    self._cancelled(task)
            await asyncio.sleep(_LOOK)


def failure(reason: str) -> Replay:
    """The result of a task that nothing of the service's answered."""
    from pydantic_core import to_json

    return Replay(500, (("content-type", "application/json"),), to_json({"error": reason}))
