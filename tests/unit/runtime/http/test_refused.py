"""What is no request of HTTP/1.1, or one of too many bytes, or one for another protocol."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from raw_http import Gated, post, serving

INVALID = (400, b"Invalid HTTP request received.")
FLOOD = 1 << 20
CHUNKED = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class Echo(Gated):
    """An application that says what it was asked, and waits at ``/wait``."""

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/started":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        if scope["path"] == "/wait":
            await self.gate.wait()
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message["body"]
            if not message["more_body"]:
                break
        told = b" ".join((scope["method"].encode(), scope["path"].encode(), body))
        headers = [(b"content-length", b"%d" % len(told))]
        headers += [(b"x-seen", name) for name, _ in scope["headers"][-1:]]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": told})


@pytest.mark.parametrize(
    "noise",
    [
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"POST echo\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        CHUNKED + b"zz\r\n",
    ],
)
async def test_what_is_no_http_is_refused(noise: bytes) -> None:
    async with serving(Echo()) as (connect, _):
        client = await connect()
        status, _, body = await client.ask(noise)
        assert (status, body) == INVALID
        assert await client.is_over()


async def test_what_http_1_0_may_do() -> None:
    async with serving(Echo()) as (connect, _):
        client = await connect()
        ask = b"POST /echo HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
        client.writer.write(ask)
        await client.writer.drain()
        assert (await client.ask(b"a"))[::2] == (200, b"POST /echo a")


async def test_a_target_that_names_only_the_host() -> None:
    async with serving(Echo()) as (connect, _):
        client = await connect()
        assert (await client.ask(b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n"))[2] == b"GET / "


async def test_what_was_asked_before_is_answered_first() -> None:
    app = Echo()
    async with serving(app) as (connect, _):
        client = await connect()
        client.writer.write(post("/wait") + post("/echo", b"2") + b"what?\r\n\r\n")
        await app.began.wait()
        app.gate.set()
        found = [(await client.answer())[::2] for _ in range(3)]
        assert found == [(200, b"POST /wait "), (200, b"POST /echo 2"), INVALID]
        assert await client.is_over()


async def test_a_response_that_has_begun_is_not_continued_with_another() -> None:
    async with serving(Echo()) as (connect, _):
        client = await connect()
        client.writer.write(CHUNKED.replace(b"echo", b"started"))
        await client.reader.readuntil(b"begun\r\n")
        client.writer.write(b"zz\r\n")
        assert await client.is_over()


async def test_trailers_are_no_headers() -> None:
    app = Echo()
    async with serving(app) as (connect, _):
        client = await connect()
        client.writer.write(post("/wait") + CHUNKED + b"1\r\na\r\n0\r\nX-Trailer: b\r\n\r\n")
        await app.began.wait()
        app.gate.set()
        await client.answer()
        _, headers, body = await client.answer()
        assert (headers["x-seen"], body) == ("transfer-encoding", b"POST /echo a")


@pytest.mark.parametrize(
    "flood",
    [b"0\r\n" + b"X-Trailer: b\r\n" * FLOOD, b"0\r\n" + b"x" * FLOOD, b"1;" + b"x" * FLOOD],
    ids=["trailers", "one trailer", "an extension"],
)
async def test_what_is_after_a_chunk_is_limited(flood: bytes) -> None:
    async with serving(Echo()) as (connect, _):
        client = await connect()
        client.writer.write(CHUNKED + b"1\r\na\r\n" + flood)
        with contextlib.suppress(ConnectionError):  # what is not read resets the connection
            assert b"HTTP/1.1 431" in await asyncio.wait_for(client.reader.read(), 10)


@pytest.mark.parametrize("head", ["Upgrade: h2c", "Upgrade: websocket"])
async def test_an_upgrade_that_is_not_known_is_a_request_like_any(
    head: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Echo()) as (connect, _):
        client = await connect()
        ask = post("/echo", b"body", "Connection: Upgrade", head, "HTTP2-Settings: a")
        client.writer.write(ask + post("/next", b"2"))
        assert [(await client.answer())[2] for _ in range(2)] == [
            b"POST /echo body",
            b"POST /next 2",
        ]
    assert "need wsproto" in caplog.text


async def test_an_upgrade_that_is_not_known_may_be_the_last_request() -> None:
    async with serving(Echo()) as (connect, _):
        client = await connect()
        head = ("Connection: Upgrade", "Upgrade: h2c", "Connection: close")
        _, headers, body = await client.ask(post("/echo", b"body", *head))
        assert (body, headers["connection"]) == (b"POST /echo body", "close")
        assert await client.is_over()


@pytest.mark.parametrize("websockets", [False, True])
async def test_another_protocol_is_refused_behind_a_request_that_runs(websockets: bool) -> None:
    app = Echo()
    async with serving(app, websockets=websockets) as (connect, _):
        client = await connect()
        head = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        client.writer.write(post("/wait") + post("/talk", b"", *head))
        await app.began.wait()
        app.gate.set()
        found = [(await client.answer())[::2] for _ in range(2)]
        assert found == [(200, b"POST /wait "), INVALID]
        assert await client.is_over()
