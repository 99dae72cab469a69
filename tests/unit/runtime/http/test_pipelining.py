"""Requests that a client sends before the answers to those before them."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from raw_http import Gated, post, serving

import bentofn
from bentofn.runtime.http.cycle import Cycle

SMALL = post("/", b"", "X-Filler: " + "x" * 900)
FLOOD = 64 << 20
MOST = 2000
"""Requests: more than one read holds, and far fewer than a flood."""


class Listening(Gated):
    """An application whose answers wait, while it hears whether its client leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.left = asyncio.Event()

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        opened = asyncio.ensure_future(self.gate.wait())
        left = asyncio.ensure_future(receive())
        await asyncio.wait({opened, left}, return_when=asyncio.FIRST_COMPLETED)
        if left.done():
            self.left.set()
        left.cancel()
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})


def held() -> int:
    """Requests that the server has read and not answered."""
    # isinstance would ask proxies, whose objects may have gone.
    return sum(issubclass(type(each), Cycle) for each in gc.get_objects())


async def test_a_client_that_sends_without_end_is_read_as_it_is_answered() -> None:
    app = Listening()
    async with serving(app) as (connect, _):
        client = await connect()

        async def send() -> None:
            for _ in range(FLOOD // len(SMALL)):
                client.writer.write(SMALL)
                await client.writer.drain()

        sending = asyncio.ensure_future(send())
        await app.began.wait()
        before = -1
        for _ in range(1000):
            unsent = client.writer.transport.get_write_buffer_size()
            if sending.done() or 0 < unsent == before:
                break
            before = unsent
            await asyncio.sleep(0.2)
        assert not sending.done()
        assert held() < MOST
        app.gate.set()
        for _ in range(500):
            assert (await client.answer())[2] == b"ok"
        assert held() < MOST
        sending.cancel()
        client.writer.transport.abort()


@pytest.mark.parametrize("waiting", [1, 10])
async def test_a_client_that_leaves_while_its_requests_wait_is_noticed(waiting: int) -> None:
    app = Listening()
    async with serving(app) as (connect, _):
        client = await connect()
        client.writer.write(post("/") * (1 + waiting))
        await app.began.wait()
        client.writer.transport.abort()
        await asyncio.wait_for(app.left.wait(), 10)


async def test_many_bodies_are_read_as_they_are_taken() -> None:
    app = Listening()
    app.gate.set()
    async with serving(app) as (connect, _):
        client = await connect()
        client.writer.write(post("/", b"x" * 100_000) * 40)
        assert [(await client.answer())[2] for _ in range(40)] == [b"ok"] * 40


@bentofn.service(name="endless")
class Endless:
    def __init__(self) -> None:
        self.closed = asyncio.Event()

    @bentofn.api
    async def stream(self) -> AsyncGenerator[str, None]:
        try:
            while True:
                yield "x" * 1000
        finally:
            self.closed.set()


async def test_a_client_that_leaves_ends_its_stream_behind_which_a_request_waits() -> None:
    application = Endless.to_asgi()
    async with serving(application) as (connect, _):
        client = await connect()
        client.writer.write(post("/stream") * 2)
        await client.reader.readexactly(10_000)
        client.writer.transport.abort()
        await asyncio.wait_for(application.instance.closed.wait(), 10)
