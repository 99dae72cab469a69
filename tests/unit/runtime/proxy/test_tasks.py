"""Tasks of a dependency are submitted as a client submits them, wherever it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import bentofn
from bentofn.exceptions import InvalidArgument, NotFound
from bentofn.runtime.client import AsyncTask, ResultStatus, Task
from bentofn.runtime.proxy import addresses, connect
from bentofn.runtime.proxy.base import Proxy
from tests.unit.runtime.proxy.serving import Server, soon

_PATIENCE = 30.0
"""Seconds; a bound for a busy machine."""


class Report(BaseModel):
    topic: str
    words: int


@bentofn.service(name="worker", traffic={"concurrency": 2})
class Worker:
    @bentofn.task
    def write(self, topic: str, words: int = 3) -> Report:
        if words < 0:
            raise InvalidArgument("negative")
        return Report(topic=topic, words=words)

    @bentofn.task
    async def double(self, n: int, wait: bool = False) -> int:
        if wait:
            await asyncio.Event().wait()
        return 2 * n

    @bentofn.api
    def plain(self) -> str:
        return "plain"


@pytest.fixture(params=["here", "sibling", "url", "url without its class"])
def worker(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxy]:
    monkeypatch.setenv("BENTOFN_STATE", str(tmp_path))
    monkeypatch.delenv("BENTOFN_INSTANCE", raising=False)
    monkeypatch.setattr(Worker, "shared", None)
    place = tmp_path / "worker.sock"
    if request.param == "sibling":
        where = addresses.Addresses({"worker": str(place)}, "s3cret")
        monkeypatch.setenv(addresses.VARIABLE, where.to_text())
        monkeypatch.setenv(addresses.ROLE, "worker")
    is_url = request.param.startswith("url")
    server = None
    if request.param != "here":
        server = Server(Worker, None if is_url else place)
    known = None if request.param.endswith("its class") else Worker
    proxy = connect(known, server.url if server is not None and is_url else None)
    yield proxy
    for _ in range(2):  # at a URL the first lets connections be kept
        proxy.transport.close()
    if server is not None:
        server.stop()


def ended(task: Task) -> ResultStatus:
    assert soon(lambda: task.get_status() is not ResultStatus.IN_PROGRESS)
    return task.get_status()


def test_from_a_sync_method(worker: Proxy) -> None:
    write = worker.to_sync.write
    task = write.submit("queues", words=4)
    assert ended(task) is ResultStatus.COMPLETED
    result = task.get()
    if worker.bento_service is None:
        assert result == {"topic": "queues", "words": 4}
    else:
        assert result == Report(topic="queues", words=4)
        assert worker.write.submit("as declared").id != task.id
    assert write.get(task.id) == result
    assert write.get_status(task.id) is ResultStatus.COMPLETED
    assert ended(write.retry(task.id)) is ResultStatus.COMPLETED
    failed = write.submit("queues", words=-1)
    assert ended(failed) is ResultStatus.FAILED
    with pytest.raises(InvalidArgument, match="negative"):
        failed.get()
    with pytest.raises(NotFound):
        write.cancel("gone")
    assert write(topic="called", words=1) is not None


async def _ended(task: AsyncTask) -> ResultStatus:
    while True:
        if (status := await task.get_status()) is not ResultStatus.IN_PROGRESS:
            return status
        await asyncio.sleep(0.01)


def test_from_an_async_method(worker: Proxy) -> None:
    async def use() -> None:
        double = worker.to_async.double
        task = await double.submit(21)
        assert await asyncio.wait_for(_ended(task), _PATIENCE) is ResultStatus.COMPLETED
        assert await task.get() == await double.get(task.id) == 42
        running = await double.submit(1, wait=True)
        await double.cancel(running.id)
        assert await asyncio.wait_for(_ended(running), _PATIENCE) is ResultStatus.CANCELED
        if worker.bento_service is not None:
            assert await (await worker.double.submit(n=1)).get_status() is not None
            assert await worker.double(2) == 4

    asyncio.run(use())


def test_what_is_no_task_has_no_queue(worker: Proxy) -> None:
    if worker.bento_service is not None:
        assert worker.plain() == "plain"
        with pytest.raises(AttributeError):
            _ = worker.plain.submit
