"""The Runtime API's port: what comes over the wire, whole, torn, huge or wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from bentofn.adapters.local.lambda_.invocation import MAX_PAYLOAD
from bentofn.adapters.local.lambda_.messages import Call, Reply
from bentofn.adapters.local.lambda_.server import MAX_STREAM, RuntimeServer

NEXT = "/2018-06-01/runtime/invocation/next"
RESPONSE = "/2018-06-01/runtime/invocation/a/response"
ACCEPTED = b"HTTP/1.1 202 Accepted"


@dataclass
class Side:
    """The server, what it was told, and a way to talk to it."""

    calls: asyncio.Queue[Call] = field(default_factory=asyncio.Queue)
    gone: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    pieces: asyncio.Queue[tuple[int, bytes]] = field(default_factory=asyncio.Queue)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    streams: bool = False

    def __post_init__(self) -> None:
        self.server = RuntimeServer(self)

    def began(self, call: Call) -> bool:
        return self.streams

    def wrote(self, number: int, piece: bytes) -> None:
        self.pieces.put_nowait((number, piece))

    def called(self, call: Call) -> None:
        self.calls.put_nowait(call)

    def hung_up(self, number: int) -> None:
        self.gone.put_nowait(number)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.server.address.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
        self.writers.append(writer)
        return reader, writer

    async def send(self, *parts: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await self.connect()
        for part in parts:
            writer.write(part)
            await writer.drain()
        return reader, writer

    async def call(self) -> Call:
        return await asyncio.wait_for(self.calls.get(), 10)


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    side = Side()
    await side.server.open()
    yield side
    for writer in side.writers:
        writer.close()
    await side.server.close()


def post(body: bytes, *headers: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (*headers, f"Content-Length: {len(body)}"))
    return f"POST {RESPONSE} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + body


async def test_a_call_waits_for_its_reply_and_the_connection_is_kept(side: Side) -> None:
    request = f"GET {NEXT}?x=1 HTTP/1.1\r\nhOsT: localhost\r\nX-One: ä\r\n\r\n".encode()
    reader, writer = await side.send(request)
    for _ in range(2):
        call = await side.call()
        assert (call.method, call.path, call.headers["x-one"]) == ("GET", NEXT, "ä")
        headers = (("Content-Type", b"application/json"), ("X-Raw", "ü".encode()))
        side.server.reply(Reply(call.number, 200, b"[1]", headers))
        found = await reader.readuntil(b"[1]")
        assert b"Content-Type: application/json\r\nX-Raw: \xc3\xbc\r\nContent-Length: 3" in found
        writer.write(request)


async def test_a_header_of_a_megabyte_and_a_body_that_comes_in_pieces(side: Side) -> None:
    await side.send(post(b"abc", f"Lambda-Runtime-Function-XRay-Error-Cause: {'x' * (1 << 20)}"))
    call = await side.call()
    assert (call.body, len(call.headers["lambda-runtime-function-xray-error-cause"])) == (
        b"abc",
        1 << 20,
    )
    pieces = [bytes([each]) for each in post(b"hello")]
    await side.send(*pieces)
    assert (await side.call()).body == b"hello"


async def test_a_header_that_never_ends_is_cut_off(side: Side) -> None:
    reader, _ = await side.send(b"GET / HTTP/1.1\r\nX: " + b"x" * (5 << 20))
    assert b"431" in await reader.readline()
    assert side.calls.empty()


async def test_a_chunked_body_has_trailers(side: Side) -> None:
    await side.send(
        f"POST {RESPONSE} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
        "Lambda-Runtime-Function-Response-Mode: streaming\r\n\r\n"
        "3\r\nabc\r\n2\r\nde\r\n0\r\n"
        "Lambda-Runtime-Function-Error-Type: Oh\r\n\r\n".encode()
    )
    call = await side.call()
    assert (call.body, call.size, call.complete) == (b"abcde", 5, True)
    assert call.trailers == {"lambda-runtime-function-error-type": "Oh"}


async def test_what_is_too_large_is_counted_and_not_kept(side: Side) -> None:
    size = MAX_PAYLOAD + 1
    reader, _ = await side.send(post(b"x" * size))
    call = await side.call()
    assert (call.size, call.body) == (size, b"")
    side.server.reply(Reply(call.number, 413, b"{}"))
    assert b"413" in await reader.readline()
    side.streams = True
    await side.send(post(b"x" * size, "Lambda-Runtime-Function-Response-Mode: streaming"))
    call = await side.call()
    assert (call.size, call.body, call.limit) == (size, b"", MAX_STREAM)
    assert sum(len(side.pieces.get_nowait()[1]) for _ in range(side.pieces.qsize())) == size


async def test_a_body_is_told_of_as_it_comes_and_its_sender_is_held_up(side: Side) -> None:
    side.streams = True
    size = 32 << 20
    request = post(b"x" * size)
    _, writer = await side.send(request[:1000])
    number, _ = await asyncio.wait_for(side.pieces.get(), 10)
    side.server.hold(number, True)
    side.server.hold(number, True)
    writer.transport.set_write_buffer_limits(high=0)
    writer.write(request[1000:])
    drained = asyncio.ensure_future(writer.drain())
    done, _ = await asyncio.wait({drained}, timeout=0.3)
    assert not done
    side.server.hold(number, False)
    await asyncio.wait_for(drained, 10)
    call = await side.call()
    assert (call.number, call.size) == (number, size)


async def test_who_stops_in_the_middle_has_sent_a_torn_request(side: Side) -> None:
    reader, writer = await side.connect()
    writer.write(post(b"x" * 100)[:-50])
    writer.write_eof()
    call = await side.call()
    assert (call.complete, call.size) == (False, 50)
    side.server.reply(Reply(call.number, 400, b"{}"))
    assert b"400" in await reader.readline()
    assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"{}")


async def test_who_hangs_up_while_it_waits_is_told_of(side: Side) -> None:
    _, writer = await side.send(f"GET {NEXT} HTTP/1.1\r\n\r\n".encode())
    call = await side.call()
    writer.transport.abort()
    assert await asyncio.wait_for(side.gone.get(), 10) == call.number
    side.server.reply(Reply(call.number, 200, b""))


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"NONSENSE\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused(side: Side, garbage: bytes) -> None:
    reader, _ = await side.send(garbage)
    assert b"400" in await reader.readline()
    assert (await asyncio.wait_for(reader.read(), 10)) is not None
    assert side.calls.empty()


async def test_a_client_that_asks_for_leave_to_send_gets_it(side: Side) -> None:
    reader, writer = await side.connect()
    head = f"POST {RESPONSE} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    writer.write(head.encode())
    assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
    writer.write(b"ok")
    call = await side.call()
    side.server.reply(Reply(call.number, 202, b"{}"))
    assert (await reader.readline()).startswith(ACCEPTED)


@pytest.mark.parametrize("header", ["Origin: https://x.example", "Sec-Fetch-Site: same-origin"])
async def test_a_web_page_takes_no_invocation(side: Side, header: str) -> None:
    reader, _ = await side.send(f"GET {NEXT} HTTP/1.1\r\n{header}\r\n\r\n".encode())
    assert b"403" in await reader.readline()
    assert side.calls.empty()


async def test_a_name_that_was_made_to_lead_here_takes_no_invocation(side: Side) -> None:
    head = f"GET {NEXT} HTTP/1.1\r\nHost: rebound.example:80\r\n\r\n"
    reader, _ = await side.send(head.encode())
    assert b"403" in await reader.readline()
    assert side.calls.empty()


async def test_trailers_without_end_are_refused(side: Side) -> None:
    head = f"POST {RESPONSE} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
    reader, writer = await side.send(head.encode())
    with contextlib.suppress(ConnectionError):
        for number in range(100):
            writer.write(b"".join(b"t%d-%d: %s\r\n" % (number, n, b"x" * 999) for n in range(99)))
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        assert b"400" in await asyncio.wait_for(reader.readline(), 10)
    assert side.calls.empty()
