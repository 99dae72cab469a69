"""The application behind a real server, over real connections."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator

import aiohttp
import numpy as np
import pytest
import pytest_asyncio

import bentofn
from bentofn.runtime import asgi
from bentofn.runtime.http.serving import Server

CHUNK = 1 << 16
CHUNKS = 2000
"""125 MiB, many times what the kernel and the server hold for one connection."""


@bentofn.service(name="live", traffic={"timeout": 30})
class Live:
    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.largest = 0
        self.gate = threading.Event()
        self.batches: list[list[int]] = []
        self.produced = 0

    @bentofn.api(batchable=True, max_batch_size=16)
    def embed(self, texts: list[str]) -> np.ndarray:
        self.largest = max(self.largest, len(texts))
        return np.array([[len(text), 1.0] for text in texts])

    @bentofn.api(batchable=True, max_batch_size=16)
    def gated(self, numbers: list[int]) -> list[int]:
        self.batches.append(numbers)
        self.gate.wait(30)
        return numbers

    @bentofn.api
    async def large(self) -> AsyncGenerator[bytes, None]:
        for self.produced in range(1, CHUNKS + 1):
            yield b"x" * CHUNK

    @bentofn.api
    def sync_endless(self) -> Generator[str, None, None]:
        try:
            while True:
                yield "x"
        finally:
            self.gate.set()

    @bentofn.api
    async def tokens(self, text: str, /) -> AsyncGenerator[str, None]:
        for word in text.split():
            yield word
            await asyncio.sleep(0)

    @bentofn.api
    async def endless(self) -> AsyncGenerator[str, None]:
        try:
            while True:
                yield "x"
                await asyncio.sleep(0.001)
        finally:
            self.closed.set()

    @bentofn.api
    async def breathless(self) -> AsyncGenerator[str, None]:
        try:
            while True:
                yield "x"
        finally:
            self.closed.set()

    @bentofn.api
    async def half(self) -> AsyncGenerator[str, None]:
        yield "half"
        raise RuntimeError("on purpose")


@pytest_asyncio.fixture
async def served() -> AsyncIterator[tuple[aiohttp.ClientSession, Live]]:
    app = Live.to_asgi()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(asgi.configure(app), lambda: None)
        serving = asyncio.ensure_future(server.serve([listener]))
        async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            async with client.get("/readyz") as ready:
                assert (ready.status, await ready.text()) == (200, "\n")
            yield client, app.instance  # type: ignore[misc]
        server.stop()
        await serving


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that another connection or thread brings about."""
    for _ in range(1000):
        if await condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about within 10 s")


async def test_requests_and_batches(served: tuple[aiohttp.ClientSession, Live]) -> None:
    client, instance = served

    async def embed(number: int) -> None:
        async with client.post("/embed", json={"texts": ["x" * number]}) as response:
            assert response.status == 200
            assert response.headers["Server"] == "BentoFN Service/live"
            assert int(response.headers["X-Bentofn-Batch-Size"]) >= 1
            assert await response.json() == [[float(number), 1.0]]

    await asyncio.gather(*(embed(number) for number in range(60)))
    assert 1 < instance.largest <= 16
    async with client.get("/metrics") as response:
        assert 'bentoml_service_request_total{endpoint="/embed"' in await response.text()


async def test_a_stream(served: tuple[aiohttp.ClientSession, Live]) -> None:
    client, _ = served
    async with client.post("/tokens", data="one two three") as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert await response.text() == "onetwothree"


async def test_a_connection_that_closes_ends_the_stream(
    served: tuple[aiohttp.ClientSession, Live],
) -> None:
    client, instance = served
    async with client.post("/endless", json={}) as response:
        assert await response.content.read(1) == b"x"
        response.close()
    await asyncio.wait_for(instance.closed.wait(), 10)


async def test_a_connection_that_closes_ends_a_sync_stream(
    served: tuple[aiohttp.ClientSession, Live],
) -> None:
    client, instance = served
    async with client.post("/sync_endless", json={}) as response:
        assert await response.content.read(1) == b"x"
        response.close()
    assert await asyncio.to_thread(instance.gate.wait, 10)


async def test_a_stream_that_waits_for_nothing_ends_with_its_connection(
    served: tuple[aiohttp.ClientSession, Live],
) -> None:
    client, instance = served
    async with client.post("/breathless", json={}) as response:
        assert await response.content.read(1) == b"x"
        async with client.get("/livez") as other:
            assert other.status == 200
        response.close()
    await asyncio.wait_for(instance.closed.wait(), 10)


async def test_a_slow_reader_slows_the_stream_and_gets_all_of_it(
    served: tuple[aiohttp.ClientSession, Live],
) -> None:
    client, instance = served
    async with client.post("/large", json={}) as response:
        before = -1

        async def stalled() -> bool:
            nonlocal before
            same, before = before == instance.produced, instance.produced
            return same and before > 0

        await until(stalled)
        assert instance.produced < CHUNKS / 4
        size = 0
        async for data in response.content.iter_any():
            size += len(data)
    assert size == CHUNK * CHUNKS


async def test_a_client_that_leaves_the_queue_is_not_run(
    served: tuple[aiohttp.ClientSession, Live],
) -> None:
    client, instance = served

    async def in_progress(count: int) -> bool:
        async with client.get("/metrics") as response:
            lines = (await response.text()).splitlines()
        name = 'bentoml_service_request_in_progress{endpoint="/gated"'
        return any(line.startswith(name) and line.endswith(f" {count}.0") for line in lines)

    async def send(number: int) -> list[int]:
        async with client.post("/gated", json={"numbers": [number]}) as response:
            return await response.json()

    first = asyncio.create_task(send(1))
    await until(lambda: in_progress(1))
    gone, stays = asyncio.create_task(send(2)), asyncio.create_task(send(3))
    await until(lambda: in_progress(3))
    gone.cancel()
    await until(lambda: in_progress(2))
    instance.gate.set()
    assert await asyncio.gather(first, stays) == [[1], [3]]
    assert instance.batches == [[1], [3]]


async def test_a_stream_that_fails_does_not_look_whole(
    served: tuple[aiohttp.ClientSession, Live],
) -> None:
    client, _ = served
    async with client.post("/half", json={}) as response:
        try:
            await response.read()
        except aiohttp.ClientPayloadError:
            return
    raise AssertionError("the response looked whole")


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=B"])
async def test_a_client_that_leaves_before_its_body_is_whole(
    served: tuple[aiohttp.ClientSession, Live], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = served
    url = client._base_url
    assert url is not None
    _, writer = await asyncio.open_connection("127.0.0.1", url.port)
    head = f"POST /embed HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: 100\r\n"
    writer.write(head.encode() + b"\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    async with client.post("/embed", json={"texts": ["a"]}) as response:
        assert response.status == 200
    assert "failed" not in caplog.text
