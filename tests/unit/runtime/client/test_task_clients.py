"""Tasks submitted, followed and canceled by both clients."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

import bentofn
from bentofn.exceptions import InvalidArgument, NotFound
from bentofn.runtime.client import AsyncTask, ResultStatus, Task

PATIENCE = 30.0  # seconds; a bound for a busy machine, not a claim


@bentofn.service(name="worker")
class Worker:
    @bentofn.task
    async def double(self, n: int, wait: bool = False) -> int:
        if wait:
            await asyncio.Event().wait()
        if n < 0:
            raise InvalidArgument("negative")
        return 2 * n

    @bentofn.task
    def twice(self, values: np.ndarray) -> np.ndarray:
        return values * 2

    @bentofn.task
    def copy(self, file: Path) -> Path:
        target = file.with_name("copy.txt")
        target.write_bytes(file.read_bytes() * 2)
        return target


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOFN_STATE", str(tmp_path))
    monkeypatch.delenv("BENTOFN_INSTANCE", raising=False)


def ended(task: Task) -> ResultStatus:
    """How a task ended."""
    end = time.monotonic() + PATIENCE
    while (status := task.get_status()) is ResultStatus.IN_PROGRESS:
        assert time.monotonic() < end
        time.sleep(0.01)
    return status


def test_arrays_as_they_are() -> None:
    with bentofn.SyncHTTPClient("http://service", app=Worker.to_asgi()) as client:
        for values in (np.ones(2, dtype="int8"), [1, 1]):
            task = client.twice.submit(values)
            assert ended(task) is ResultStatus.COMPLETED
            assert task.get().tolist() == [2, 2]
            assert task.get().dtype == np.asarray(values).dtype


async def ended_async(task: AsyncTask) -> ResultStatus:
    while True:
        if (status := await task.get_status()) is not ResultStatus.IN_PROGRESS:
            return status
        await asyncio.sleep(0.01)


def test_the_synchronous_client(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with bentofn.SyncHTTPClient("http://service", app=Worker.to_asgi()) as client:
        assert client.double(2) == 4
        task = client.double.submit(n=3)
        assert ended(task) is ResultStatus.COMPLETED
        assert task.get() == 6 == client.double.get(task.id)
        assert client.double.get_status(task_id=task.id) is ResultStatus.COMPLETED
        again = task.retry()
        assert again.id != task.id
        assert ended(again) is ResultStatus.COMPLETED
        failed = client.double.submit(-1)
        assert ended(failed) is ResultStatus.FAILED
        with pytest.raises(InvalidArgument, match="negative"):
            failed.get()
        running = client.double.submit(1, wait=True)
        with pytest.raises(InvalidArgument, match="is not completed yet"):
            running.get()
        running.cancel()
        assert ended(running) is ResultStatus.CANCELED
        with pytest.raises(NotFound, match="task_id not found"):
            client.double.get("gone")
        with pytest.raises(TypeError, match="Missing required arguments"):
            client.double.submit()
        copy = client.copy.submit(tmp_path / "a.txt")
        assert ended(copy) is ResultStatus.COMPLETED
        assert copy.get().read_text() == "aa"


async def test_the_asynchronous_client() -> None:
    app = Worker.to_asgi()
    await app.start()
    async with bentofn.AsyncHTTPClient("http://service", app=app) as client:
        task = await client.double.submit(3)
        assert await asyncio.wait_for(ended_async(task), PATIENCE) is ResultStatus.COMPLETED
        assert await task.get() == 6 == await client.double.get(task.id)
        running = await client.double.submit(1, wait=True)
        await running.cancel()
        assert await asyncio.wait_for(ended_async(running), PATIENCE) is ResultStatus.CANCELED
        again = await task.retry()
        assert await asyncio.wait_for(ended_async(again), PATIENCE) is ResultStatus.COMPLETED
    await app.stop()
