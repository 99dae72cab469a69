"""Tasks with a real database on the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from queued import ended, opened

from bentofn.runtime.tasks import tasks as module
from bentofn.runtime.tasks.store import Replay, TaskRequest, TaskRow, TaskStore
from bentofn.runtime.tasks.tasks import Full, Interrupted


async def until(holds: Callable[[], bool]) -> None:
    for _ in range(2000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it does not come to it")


async def echo(request: TaskRequest) -> Replay:
    return Replay(200, request.headers, request.body)


async def for_ever(request: TaskRequest) -> Replay:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_task_runs_and_its_result_is_kept(tmp_path: Path) -> None:
    async with opened(tmp_path / "t.db", echo) as tasks:
        task = await tasks.submit("/r", "", (("a", "b"),), b"body")
        assert await ended(tasks, task) == "completed"
        assert await tasks.reply(task) == Replay(200, (("a", "b"),), b"body")
        again = await tasks.retry(task)
        assert again != task
        assert await ended(tasks, again) == "completed"


async def test_at_most_so_many_run_and_in_order(tmp_path: Path) -> None:
    begun: list[bytes] = []
    most = 0
    gate = asyncio.Semaphore(0)

    async def call(request: TaskRequest) -> Replay:
        nonlocal most
        begun.append(request.body)
        most = max(most, tasks.running)
        await gate.acquire()
        return Replay(200, (), b"")

    async with opened(tmp_path / "t.db", call, limit=2) as tasks:
        given = [await tasks.submit("/", "", (), bytes([n])) for n in range(6)]
        for _ in given:
            gate.release()
        for task in given:
            assert await ended(tasks, task) == "completed"
    assert most == 2
    assert begun == [bytes([n]) for n in range(6)]


async def test_cancelling_stops_what_runs_and_makes_room(tmp_path: Path) -> None:
    stopped = asyncio.Event()

    async def call(request: TaskRequest) -> Replay:
        if request.body == b"last":
            return Replay(200, (), b"")
        try:
            return await for_ever(request)
        finally:
            stopped.set()

    async with opened(tmp_path / "t.db", call) as tasks:
        first, second, last = [
            await tasks.submit("/", "", (), body) for body in (b"1", b"2", b"last")
        ]
        row = await tasks.cancel(second)
        assert row is not None
        assert row.state == "canceled"
        await tasks.cancel(first)
        assert await ended(tasks, last) == "completed"
        assert stopped.is_set()
        assert await ended(tasks, first) == "canceled"


async def test_a_cancelled_task_may_end_before_it_has_begun(tmp_path: Path) -> None:
    async with opened(tmp_path / "t.db", for_ever) as tasks:
        for _ in range(20):
            task = await tasks.submit("/", "", (), b"")
            await tasks.cancel(task)
        assert (tasks.waiting, await ended(tasks, task)) == (0, "canceled")
        await until(lambda: not tasks.running)


async def test_a_stop_keeps_what_runs_for_the_next_start(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with opened(path, for_ever) as tasks:
        running = await tasks.submit("/", "", (), b"1")
        waiting = await tasks.submit("/", "", (), b"2")
    async with opened(path, echo) as tasks:
        assert await ended(tasks, running) == "completed"
        assert await ended(tasks, waiting) == "completed"
        assert await tasks.reply(waiting) == Replay(200, (), b"2")


async def test_an_interrupted_task_runs_again_and_then_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    async def call(request: TaskRequest) -> Replay:
        nonlocal calls
        calls += 1
        raise Interrupted("the instance was killed")

    async with opened(tmp_path / "t.db", call) as tasks:
        tasks._queue._backoff = 0.001
        task = await tasks.submit("/", "", (), b"")
        assert await ended(tasks, task) == "failed"
        reply = await tasks.reply(task)
    assert reply is not None
    assert reply.status == 500
    assert b"begun 3 times and did not end: the instance was killed" in reply.body
    assert calls == 3


async def test_one_is_cancelled_while_another_is_given_up(tmp_path: Path) -> None:
    cancelling: list[asyncio.Task[TaskRow | None]] = []

    async def call(request: TaskRequest) -> Replay:
        if request.body == b"next":
            return await for_ever(request)
        calls.append(request.id)
        if len(calls) == 3:  # the next one takes its place in the moment in which it is cancelled
            waiting = await tasks.submit("/", "", (), b"next")
            cancelling.append(asyncio.create_task(tasks.cancel(waiting)))
        raise Interrupted("the instance was killed")

    calls: list[str] = []
    async with opened(tmp_path / "t.db", call) as tasks:
        tasks._queue._backoff = 0.001
        given_up = await tasks.submit("/", "", (), b"")
        assert await ended(tasks, given_up) == "failed"
        row = await cancelling[0]
        assert row is not None
        assert row.state == "canceled"
        last = await tasks.submit("/", "", (), b"next")
        await tasks.cancel(last)
        await until(lambda: not tasks.running)


async def test_a_method_that_cancels_itself_is_run_again_and_then_fails(tmp_path: Path) -> None:
    async def call(request: TaskRequest) -> Replay:
        raise asyncio.CancelledError

    async with opened(tmp_path / "t.db", call) as tasks:
        tasks._queue._backoff = 0.001
        task = await tasks.submit("/", "", (), b"")
        assert await ended(tasks, task) == "failed"
        reply = await tasks.reply(task)
    assert reply is not None
    assert b"something that it waited for was cancelled" in reply.body


async def test_another_process_cancels(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    async with opened(path, for_ever) as tasks:
        task = await tasks.submit("/", "", (), b"")
        other = TaskStore(path)
        other.cancel(task, 1.0)
        other.close()
        await until(lambda: not tasks.running)


async def test_so_many_may_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    async with opened(tmp_path / "t.db", for_ever) as tasks:
        for _ in range(3):
            await tasks.submit("/", "", (), b"")
        with pytest.raises(Full):
            await tasks.submit("/", "", (), b"")
