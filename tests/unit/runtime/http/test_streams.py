"""Generators: chunks as they come, errors in front of them, and clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Any

import bentofn
from bentofn.exceptions import InvalidArgument


@bentofn.service(traffic={"timeout": 30})
class Streams:
    def __init__(self) -> None:
        self.closed: list[str] = []
        self.go_on = asyncio.Event()

    @bentofn.api
    def count(self, n: int) -> Generator[str, None, None]:
        for number in range(n):
            yield f"{number} "

    @bentofn.api
    async def acount(self, n: int, ctx: bentofn.Context) -> AsyncGenerator[bytes, None]:
        ctx.response.headers["x-n"] = str(n)
        for number in range(n):
            yield bytes([number])

    @bentofn.api
    def objects(self) -> Iterator[dict[str, int]]:
        return iter([{"a": 1}, {"a": 2}])

    @bentofn.api
    def early(self) -> Generator[str, None, None]:
        raise InvalidArgument("before the first chunk")
        yield ""

    @bentofn.api
    def late(self) -> Generator[str, None, None]:
        yield "one"
        raise RuntimeError("after the first chunk")

    @bentofn.api
    async def endless(self) -> AsyncGenerator[str, None]:
        try:
            yield "first"
            await self.go_on.wait()
        finally:
            self.closed.append("endless")

    @bentofn.api
    def sync_endless(self) -> Generator[str, None, None]:
        try:
            while True:
                yield "again"
        finally:
            self.closed.append("sync_endless")


async def test_chunks_are_sent_unframed_as_they_come(open_app: Any) -> None:
    async with open_app(Streams) as client:
        text = await client.post("/count", {"n": 3})
        data = await client.post("/acount", {"n": 3})
        objects = await client.post("/objects", {})
        none = await client.post("/count", {"n": 0})
    assert text.chunks == [b"0 ", b"1 ", b"2 ", b""]
    assert text.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (data.body, data.headers["x-n"]) == (b"\0\1\2", "3")
    assert objects.chunks == [b'{"a":1}', b'{"a":2}', b""]
    assert (none.status, none.body, none.complete) == (200, b"", True)


async def test_an_error_before_the_first_chunk_is_an_http_error(open_app: Any) -> None:
    async with open_app(Streams) as client:
        answer = await client.post("/early", {})
    assert (answer.status, answer.json) == (400, [{"error": "before the first chunk"}])


async def test_an_error_after_it_leaves_the_response_incomplete(open_app: Any, caplog: Any) -> None:
    async with open_app(Streams) as client:
        answer = await client.post("/late", {})
    assert (answer.status, answer.body, answer.complete) == (200, b"one", False)
    assert "after the first chunk" in caplog.text


async def test_a_client_that_leaves_closes_the_generator(open_app: Any) -> None:
    for route in ("endless", "sync_endless"):
        async with open_app(Streams) as client:
            request = client.post(f"/{route}", {}, leave_after=1)
            answer = await asyncio.wait_for(request, 10)
            assert client.app.instance.closed == [route]
            assert answer.chunks[0] in (b"first", b"again")
            assert not answer.complete
