"""Tasks on a disk that is full for a while: a small file system of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queued import ended, opened

from bentofn.runtime.tasks import disk as module
from bentofn.runtime.tasks.store import Replay, TaskRequest
from bentofn.runtime.tasks.tasks import Interrupted, Tasks

NUMBERS = itertools.count()


class SmallDisk:
    """A file system that can be filled to its last byte."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        with self._filler.open("ab", buffering=0) as file:
            for size in (65536, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def clear(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("this machine has no mount")
    if done.returncode:
        pytest.skip(f"a small file system needs a right to mount: {done.stderr.strip()}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WRITE_AGAIN", (0.001, 0.01))
        yield SmallDisk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)


class Calls:
    """Answers each task as its body says: with itself, once it was interrupted, late or never."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self._begun: set[str] = set()

    async def __call__(self, request: TaskRequest) -> Replay:
        again = request.id in self._begun
        self._begun.add(request.id)
        kind = request.body.partition(b" ")[0]
        if kind == b"fail":
            raise ValueError
        if kind == b"break" or (kind == b"once" and not again):
            raise Interrupted("the instance was killed")
        if kind == b"cancelled" and not again:
            raise asyncio.CancelledError
        if kind == b"late":
            await self.gate.wait()
        return Replay(200, (), request.body)


@asynccontextmanager
async def impatient(disk: SmallDisk, calls: Calls, limit: int) -> AsyncIterator[Tasks]:
    disk.clear()
    async with opened(disk.folder / f"{next(NUMBERS)}.db", calls, limit) as tasks:
        tasks._queue._backoff = 0.001
        yield tasks


async def none_runs(tasks: Tasks) -> bool:
    for _ in range(5000):
        if not tasks.running + tasks.waiting:
            return True
        await asyncio.sleep(0.002)
    return False


async def test_a_result_waits_for_room_and_keeps_its_place(
    disk: SmallDisk, caplog: pytest.LogCaptureFixture
) -> None:
    calls = Calls()
    async with impatient(disk, calls, limit=1) as tasks:
        first, second = [await tasks.submit("/", "", (), body) for body in (b"late 1", b"ok 2")]
        disk.fill()
        calls.gate.set()
        for _ in range(5000):
            if "cannot be written yet" in caplog.text:
                break
            await asyncio.sleep(0.002)
        assert (tasks.running, tasks.waiting) == (1, 1)
        with pytest.raises(sqlite3.OperationalError):
            await tasks.submit("/", "", (), b"ok 3")
        disk.free()
        for task, body in ((first, b"late 1"), (second, b"ok 2")):
            assert await ended(tasks, task) == "completed"
            assert await tasks.reply(task) == Replay(200, (), body)
        assert await none_runs(tasks)


async def test_what_could_not_be_written_is_run_by_the_next_process(disk: SmallDisk) -> None:
    calls = Calls()
    async with impatient(disk, calls, limit=1) as tasks:
        task = await tasks.submit("/", "", (), b"late 1")
        disk.fill()
        calls.gate.set()
        await tasks.stop(0.01)
        disk.free()
        await tasks.start()
        assert await ended(tasks, task) == "completed"


STATES = {
    b"ok": "completed",
    b"late": "completed",
    b"once": "completed",
    b"cancelled": "completed",
    b"fail": "failed",
    b"break": "failed",
}

STEPS = st.one_of(
    st.sampled_from(sorted(STATES)),
    st.sampled_from(["fill", "free", "open", "wait"]),
    st.integers(0, 20),  # cancels the task of that number
)


@settings(max_examples=60)
@given(steps=st.lists(STEPS, min_size=4, max_size=30), limit=st.integers(1, 3))
def test_every_task_that_was_taken_ends_as_it_should(
    disk: SmallDisk, steps: list[bytes | str | int], limit: int
) -> None:
    asyncio.run(play(disk, steps, limit))


async def play(disk: SmallDisk, steps: list[bytes | str | int], limit: int) -> None:
    calls = Calls()
    async with impatient(disk, calls, limit) as tasks:
        taken: dict[str, bytes] = {}
        cancelled: set[str] = set()
        for number, step in enumerate(steps):
            with contextlib.suppress(sqlite3.OperationalError):  # the caller was told
                if isinstance(step, bytes):
                    body = b"%s %d" % (step, number)
                    taken[await tasks.submit("/", "", (), body)] = body
                elif isinstance(step, int):
                    if step < len(taken):
                        row = await tasks.cancel(list(taken)[step])
                        assert row is not None
                        if row.state == "canceled":
                            cancelled.add(row.id)
                elif step == "fill":
                    disk.fill()
                elif step == "free":
                    disk.free()
                elif step == "open":
                    calls.gate.set()
                else:
                    await asyncio.sleep(0.003)
            assert tasks.running <= limit
        disk.free()
        calls.gate.set()
        for task, body in taken.items():
            kind = body.partition(b" ")[0]
            assert await ended(tasks, task) == ("canceled" if task in cancelled else STATES[kind])
            reply = await tasks.reply(task)
            if task not in cancelled and STATES[kind] == "completed":
                assert reply == Replay(200, (), body)
        assert await none_runs(tasks)
