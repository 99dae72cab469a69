"""Threads that run sync methods for a loop.

As :class:`concurrent.futures.ThreadPoolExecutor` with ``loop.run_in_executor``, without the second
future, its lock and its callbacks: for a short method these cost more than the method.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any

_Job = tuple["asyncio.Future[Any]", Callable[[], Any]]


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
        self._running = 0

    async def run(self, call: Callable[[], Any]) -> Any:
        """Run a function on a thread; cancelled before it began, it does not begin.

        Raises:
            RuntimeError: It raised StopIteration, which a future cannot carry.
            BaseException: Whatever else it raised.
        """
        future = asyncio.get_running_loop().create_future()
        self._running += 1
        if len(self._threads) < min(self._count, self._running):
            self._grow()
        self._jobs.put((future, call))
        try:
            return await future
        finally:
            self._running -= 1

    def close(self) -> None:
        """Drop what has not begun, and wait for what runs."""
        with contextlib.suppress(Empty):
            while (job := self._jobs.get_nowait()) is not None:
                job[0].cancel()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _grow(self) -> None:
        with self._growing:
            if len(self._threads) < self._count:
                name = f"{self._name}_{len(self._threads)}"
                thread = threading.Thread(target=self._work, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            _do(*job)
            del job  # what it took and gave is not kept until the next one


def _do(future: asyncio.Future[Any], call: Callable[[], Any]) -> None:
    if future.cancelled():
        return
    result: Any = None
    error: BaseException | None = None
    try:
        result = call()
    except StopIteration as stop:
        error = RuntimeError(f"{call!r} raised StopIteration")
        error.__cause__ = stop
    except BaseException as raised:
        error = raised
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        future.get_loop().call_soon_threadsafe(_settle, future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
