"""The tasks of one service: the queue's decisions carried out with a database and a loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from bentofn.runtime.tasks.core import Command, GiveUp, Start, Stop, TaskQueue, WakeAt
from bentofn.runtime.tasks.store import (
    Headers,
    Replay,
    TaskRequest,
    TaskRow,
    TaskStore,
)

logger = logging.getLogger("bentofn.tasks")

MOST_WAITING = 10_000
"""Tasks of a service that may wait."""

_LOOK = 0.25
"""Seconds between two looks for what other processes have cancelled, while tasks are unfinished."""


T = TypeVar("T")
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
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="tasks")
        try:
            self._store = await self._loop.run_in_executor(self._disk, TaskStore, self.path)
        except BaseException:
            self._disk.shutdown()
            raise
        for task, begun in await self._on_disk(self._store.recover):
            await self._enqueue(task, begun)

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
        await self._on_disk(self._store.close)
        self._disk.shutdown()

    async def set_limit(self, limit: int) -> None:
        """Run so many tasks at a time from now on."""
        self._limit = self._queue.limit = limit
        await self._obey(self._queue.tick(self._loop.time()))

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
        request = await self._on_disk(self._store.request, task)
        if request is None:
            raise KeyError(task)
        return await self.submit(request.route, request.query, request.headers, request.body)

    async def row(self, task: str) -> TaskRow | None:
        """How far a task is; None if there is none."""
        return await self._on_disk(self._store.row, task)

    async def reply(self, task: str) -> Replay | None:
        """A task's result; None if it has none."""
        return await self._on_disk(self._store.reply, task)

    async def cancel(self, task: str) -> TaskRow | None:
        """Keep a task from running, or stop it, unless it has ended.

        Returns:
            How it then stands, None if there is none.
        """
        row = await self._on_disk(self._store.cancel, task, self._now())
        if task in self._unfinished:
            await self._cancelled(task)
        return row

    async def _take(self, request: TaskRequest) -> None:
        await self._on_disk(self._store.add, request, self._now())
        await self._enqueue(request.id, 0)

    async def _enqueue(self, task: str, begun: int) -> None:
        self._unfinished.add(task)
        if self._watch is None or self._watch.done():
            self._watch = self._loop.create_task(self._heed_others())
        await self._obey(self._queue.submitted(task, self._loop.time(), begun))

    async def _cancelled(self, task: str) -> None:
        self._unfinished.discard(task)
        await self._obey(self._queue.cancelled(task, self._loop.time()))

    async def _obey(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Start(task):
                    self._attempts[task] = self._loop.create_task(self._attempt(task))
                    self._spawn(self._live(task, self._attempts[task]))
                case Stop(task):
                    self._attempts[task].cancel()
                case GiveUp(task, reason):
                    logger.error("Task %s failed: %s", task, reason)
                    await self._finish(task, failure(reason))
                case WakeAt(moment):
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = self._loop.call_at(moment, self._wake)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        life = self._loop.create_task(work)
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)

    def _wake(self) -> None:
        self._spawn(self._obey(self._queue.tick(self._loop.time())))

    async def _live(self, task: str, attempt: asyncio.Task[str | None]) -> None:
        """See one attempt to its end, whatever that is."""
        await asyncio.wait([attempt])
        del self._attempts[task]
        now = self._loop.time()
        if attempt.cancelled():
            if self._stopping:
                await self._on_disk(partial(self._store.wait_again, task, counts=False))
            commands = self._queue.ended(task, now)
        elif error := attempt.exception():
            logger.error("The tasks in %s cannot be written", self.path, exc_info=error)
            commands = self._queue.interrupted(task, str(error), now)
        elif reason := attempt.result():
            commands = self._queue.interrupted(task, reason, now)
        else:
            commands = self._queue.ended(task, now)
        await self._obey(commands)

    async def _attempt(self, task: str) -> str | None:
        """Run a task once; returns why it must run again, None if it has ended."""
        request = await self._on_disk(self._store.begin, task, self._now())
        if request is None:
            return None
        try:
            reply = await self._call(request)
        except Interrupted as error:
            logger.warning("Task %s was interrupted: %s", task, error)
            await self._on_disk(partial(self._store.wait_again, task, counts=True))
            return str(error) or "it was interrupted"
        except Exception:
            logger.exception("Task %s failed", task)
            reply = failure("An unexpected error has occurred, please check the server log.")
        await self._finish(task, reply)
        return None

    async def _finish(self, task: str, reply: Replay) -> None:
        await self._on_disk(self._store.finish, task, reply, self._now())
        self._unfinished.discard(task)

    async def _heed_others(self) -> None:
        """Stop what another process cancels, while there is anything to stop."""
        while self._unfinished:
            unfinished = list(self._unfinished)
            for task in await self._on_disk(self._store.ended_elsewhere, unfinished):
                await self._cancelled(task)
            await asyncio.sleep(_LOOK)

    async def _on_disk(self, call: Callable[..., T], *args: object) -> T:
        # What has begun on the disk is done to its end, whoever stops waiting for it.
        job = self._loop.run_in_executor(self._disk, call, *args)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await asyncio.wait([job])
            raise


def failure(reason: str) -> Replay:
    """The result of a task that nothing of the service's answered."""
    from pydantic_core import to_json

    return Replay(500, (("content-type", "application/json"),), to_json({"error": reason}))
