"""Threads that run sync methods for a loop.

As :class:`concurrent.futures.ThreadPoolExecutor` with ``loop.run_in_executor``, without the second
future, its lock and its callbacks: for a short method these cost more than the method.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

_Job = tuple["asyncio.Future[Any]", Callable[[], Any]]

_PATIENCE = 5.0
"""Seconds that a close waits for what runs; no thread can be stopped."""


class Workers:
    """A number of threads, each made when it is first needed.

    Args:
        count: At most.
        name: What the threads are called.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count = count
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._growing = threading.Lock()
        self._idle: deque[None] = deque()
        """One for each thread that nothing was given to, until all threads are made: a job that its
        caller left still has a thread."""

    async def run(self, call: Callable[[], Any]) -> Any:
        """Run a function on a thread; cancelled before it began, it does not begin.

        Raises:
            RuntimeError: It raised StopIteration, which a future cannot carry.
            BaseException: Whatever else it raised.
        """
        future = asyncio.get_running_loop().create_future()
        if len(self._threads) < self._count:
            self._find_thread()
        self._jobs.put((future, call))
        return await future

    def close(self, patience: float = _PATIENCE) -> None:
        """Drop what has not begun, wait for what runs, and end the threads.

        Args:
            patience: Seconds after which what still runs is left to the end of the process.
        """
        self._drop()
        for _ in self._threads:
            self._jobs.put(None)
        end = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._threads.clear()
        self._idle.clear()

    async def rest(self, patience: float = _PATIENCE) -> None:
        """Drop what has not begun and wait for what runs, as :meth:`close`; the threads stay."""
        self._drop()
        if not self._threads:
            return
        met = threading.Barrier(len(self._threads))
        meetings = [asyncio.get_running_loop().create_future() for _ in self._threads]
        for meeting in meetings:
            self._jobs.put((meeting, partial(_meet, met, patience)))
        await asyncio.wait(meetings, timeout=patience)
        self._idle = deque([None] * len(self._threads))

    def _drop(self) -> None:
        with contextlib.suppress(Empty):
            while (job := self._jobs.get_nowait()) is not None:
                job[0].cancel()

    def _find_thread(self) -> None:
        """Have a thread for one more job, where there may be one."""
        try:
            self._idle.pop()
        except IndexError:
            self._grow()

    def _grow(self) -> None:
        with self._growing:
            if len(self._threads) < self._count:
                name = f"{self._name}_{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call = job
            result, error = (None, None) if future.cancelled() else _outcome(call)
            if len(self._threads) < self._count:
                self._idle.append(None)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                future.get_loop().call_soon_threadsafe(_settle, future, result, error)
            # What it took and gave is not kept until the next one.
            del job, future, call, result, error


def _meet(met: threading.Barrier, patience: float) -> None:
    with contextlib.suppress(threading.BrokenBarrierError):
        met.wait(patience)


def _outcome(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return call(), None
    except StopIteration as stop:
        error = RuntimeError(f"{call!r} raised StopIteration")
        error.__cause__ = stop
        return None, error
    except BaseException as error:
        return None, error


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
