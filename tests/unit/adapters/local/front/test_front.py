"""The platform's HTTP server byte by byte: its own requests, and those that its guest answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from raw_http import Client, post

from bentofn.adapters.local.front.front import KEEP_ALIVE, Front
from bentofn.adapters.local.front.request import Request
from bentofn.adapters.local.replies import read_body
from bentofn.adapters.local.tickets import Refused

LIMIT = 100_000
BIG = b"x" * 90_000
MANY = 200
BACKLOG = 64
PATIENCE = 5.0
EMPTY_CHUNK = b"0\r\n\r\n"


class Server:
    """A front that answers what is below ``/own``, its guest all else."""

    def __init__(self, keep_alive: float, room: int | None) -> None:
        self.gate = asyncio.Event()
        self.began = asyncio.Event()
        self.left = asyncio.Event()
        self.front = Front(self.own, self.guest, keep_alive, room)

    async def own(self, request: Request, _: asyncio.Transport) -> bool:
        if not request.target.startswith("/own"):
            return False
        self.began.set()
        try:
            if request.target == "/own/waits":
                await self.gate.wait()
            if request.target == "/own/fails":
                raise RuntimeError("on purpose")
            if request.target == "/own/streams":
                await request.start(200, [])
                for _ in range(MANY):
                    await request.write(BIG)
                await request.write(b"", more=False)
                return True
            body = await request.body(LIMIT)
        except Refused as refusal:
            await request.error(refusal.status, refusal.reason)
            return True
        except asyncio.CancelledError:
            self.left.set()
            raise
        headers = [(b"x-by", b"own"), (b"x-peer", request.peer.encode())]
        await request.respond(200, headers, request.method.encode() + b" " + body)
        return True

    async def guest(self, request: web.BaseRequest) -> web.StreamResponse:
        self.began.set()
        try:
            if request.path == "/socket":
                spoken = web.WebSocketResponse()
                await spoken.prepare(request)
                await spoken.send_str(await spoken.receive_str())
                return spoken
            if request.path == "/unread":
                return web.Response(text="unread")
            if request.path == "/waits":
                await self.gate.wait()
            if request.path == "/streams":
                response = web.StreamResponse()
                await response.prepare(request)
                for _ in range(MANY):
                    await response.write(BIG)
                return response
            body = await read_body(request, LIMIT)
        except Refused as refusal:
            return web.Response(status=refusal.status)
        except asyncio.CancelledError:
            self.left.set()
            raise
        if request.path == "/fails":
            raise RuntimeError("on purpose")
        return web.Response(body=b"guest " + body, headers={"X-Host": request.host})


Connect = Callable[[], Awaitable[Client]]


@asynccontextmanager
async def serving(
    keep_alive: float = KEEP_ALIVE, room: int | None = None
) -> AsyncIterator[tuple[Server, Connect, int]]:
    server = Server(keep_alive, room)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        await server.front.listen(listener, BACKLOG)
        clients = []

        async def connect() -> Client:
            clients.append(Client(*await asyncio.open_connection(*address)))
            return clients[-1]

        try:
            yield server, connect, address[1]
        finally:
            for client in clients:
                client.writer.close()
            await asyncio.wait_for(server.front.close(PATIENCE), 20)


async def soon(event: asyncio.Event) -> None:
    await asyncio.wait_for(event.wait(), 20)


def chunked(path: str, *chunks: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks) + EMPTY_CHUNK


async def test_one_connection_has_requests_of_both_kinds() -> None:
    async with serving() as (_, connect, _):
        client = await connect()
        for _ in range(2):
            status, headers, body = await client.ask(post("/own", b"a"))
            assert (status, headers["x-by"], headers["x-peer"]) == (200, "own", "127.0.0.1")
            assert body == b"POST a"
            status, headers, body = await client.ask(post("/page?a=b", b"c"))
            assert (status, headers["x-host"], body) == (200, "a", b"guest c")


async def test_requests_that_are_sent_at_once_are_answered_in_order() -> None:
    async with serving() as (_, connect, _):
        client = await connect()
        kinds = ["/own", "/page", "/page", "/own", "/own", "/page"]
        both = [post, chunked]
        client.writer.write(b"".join(both[n % 2](kind, b"%d" % n) for n, kind in enumerate(kinds)))
        answers = [await client.answer() for _ in kinds]
        assert [body[-1:] for _, _, body in answers] == [b"%d" % n for n in range(len(kinds))]
        assert [body[:5] == b"guest" for _, _, body in answers] == ["page" in k for k in kinds]


@pytest.mark.parametrize("path", ["/own", "/page"])
async def test_bodies_in_pieces(path: str) -> None:
    async with serving() as (_, connect, _):
        client = await connect()
        for request in (post(path, BIG), chunked(path, BIG[:1], BIG[1:])):
            pieces = [request[n : n + 10_000] for n in range(0, len(request), 10_000)]
            status, _, body = await client.ask(*pieces)
            assert (status, body.partition(b" ")[2] == BIG) == (200, True)


@pytest.mark.parametrize("path", ["/own", "/page"])
async def test_a_client_that_wants_a_word_first_gets_one(path: str) -> None:
    async with serving() as (_, connect, _):
        client = await connect()
        client.writer.write(post(path, b"", "Expect: 100-continue").replace(b": 0", b": 2"))
        assert (await client.answer(has_body=False))[0] == 100
        status, _, body = await client.ask(b"ok")
        assert (status, body[-3:]) == (200, b" ok")


@pytest.mark.parametrize("path", ["/own", "/page"])
@pytest.mark.parametrize("request_", [post, chunked])
async def test_a_body_over_the_limit_is_refused_and_the_connection_goes_on_or_ends(
    path: str, request_: Callable[[str, bytes], bytes]
) -> None:
    async with serving() as (_, connect, _):
        client = await connect()
        status, _, _ = await client.ask(request_(path, b"x" * (LIMIT + 1)))
        assert status == 413
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            assert (await client.ask(post(path, b"a")))[0] == 200


@pytest.mark.parametrize("path", ["/own", "/unread"])
async def test_a_body_without_end_is_not_read_for_ever(path: str) -> None:
    async with serving() as (_, connect, _):
        client = await connect()
        client.writer.write(chunked(path, b"")[: -len(EMPTY_CHUNK) * 2])
        piece = b"%x\r\n%b\r\n" % (1 << 20, b"x" * (1 << 20))
        with pytest.raises(ConnectionError):
            await client.ask(*[piece] * 1000)


async def test_a_head_has_its_length_and_no_body() -> None:
    async with serving() as (_, connect, _):
        client = await connect()
        client.writer.write(b"HEAD /own HTTP/1.1\r\nHost: a\r\n\r\n")
        _, headers, _ = await client.answer(has_body=False)
        assert headers["content-length"] == "5"
        assert (await client.ask(post("/own", b"a")))[2] == b"POST a"


@pytest.mark.parametrize("path", ["/own", "/page"])
async def test_the_end_of_a_connection_is_the_callers_to_say(path: str) -> None:
    async with serving() as (_, connect, _):
        client = await connect()
        status, headers, _ = await client.ask(post(path, b"a", "Connection: close"))
        assert (status, headers["connection"]) == (200, "close")
        assert await client.is_over()


@pytest.mark.parametrize("path", ["/own", "/page"])
async def test_what_breaks_http_is_refused_once_it_is_its_turn(path: str) -> None:
    async with serving() as (_, connect, _):
        client = await connect()
        broken = chunked(path)[: -len(EMPTY_CHUNK)] + b"zz\r\n"
        client.writer.write(post("/own", b"before") + broken)
        assert (await client.answer())[2] == b"POST before"
        assert (await client.answer())[0] == 400
        assert await client.is_over()


@pytest.mark.parametrize("path", ["/own/waits", "/waits"])
async def test_a_caller_that_leaves_ends_what_is_done_for_it(path: str) -> None:
    async with serving() as (server, connect, _):
        client = await connect()
        client.writer.write(post(path))
        await soon(server.began)
        client.writer.close()
        await soon(server.left)


@pytest.mark.parametrize("path", ["/own/streams", "/streams"])
async def test_a_slow_reader_slows_the_answer(path: str) -> None:
    async with serving() as (server, connect, _):
        client = await connect()
        client.writer.write(post(path))
        await soon(server.began)
        (connection,) = server.front.connections

        async def held_up() -> None:
            while connection.writable is None:  # noqa: ASYNC110 - asyncio's, not ours to set
                await asyncio.sleep(0.01)

        await asyncio.wait_for(held_up(), 20)
        assert connection.transport.get_write_buffer_size() < 1 << 20
        _, _, body = await client.answer()
        assert len(body) == MANY * len(BIG)


@pytest.mark.parametrize("path", ["/own/fails", "/fails"])
async def test_what_no_code_expected_is_a_500(path: str) -> None:
    async with serving() as (_, connect, _):
        client = await connect()
        assert (await client.ask(post(path)))[0] == 500
        assert await client.is_over()


async def test_websockets_are_the_guests() -> None:
    async with serving() as (_, _, port), aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}/page") as answer:
            assert await answer.text() == "guest "
        async with session.ws_connect(f"http://127.0.0.1:{port}/socket") as spoken:
            await spoken.send_str("hello")
            assert await spoken.receive_str() == "hello"


@pytest.mark.parametrize("path", ["/own/waits", "/waits"])
async def test_at_the_end_what_is_asked_is_answered_and_nothing_more(path: str) -> None:
    async with serving() as (server, connect, _):
        idle, asking = await connect(), await connect()
        await idle.ask(post("/page"))
        server.began.clear()
        asking.writer.write(post(path))
        await soon(server.began)
        closing = asyncio.ensure_future(server.front.close(PATIENCE))
        assert await idle.is_over()
        server.gate.set()
        assert (await asking.answer())[0] == 200
        assert await asking.is_over()
        await asyncio.wait_for(closing, 20)


@pytest.mark.parametrize("path", ["/own/waits", "/waits"])
async def test_at_the_end_nobody_waits_for_ever(path: str) -> None:
    async with serving() as (server, connect, _):
        client = await connect()
        client.writer.write(post(path))
        await soon(server.began)
        await asyncio.wait_for(server.front.close(0.0), 20)
        await soon(server.left)


@pytest.mark.parametrize("path", ["/own", "/page"])
@pytest.mark.parametrize("half", [b"Content-Length: 9\r\n\r\nhalf", b"Content-Length: 9\r\n\r\n"])
async def test_half_a_body_is_not_awaited_for_ever(
    path: str, half: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(keep_alive=0.2) as (server, connect, _):
        client = await connect()
        status, _, _ = await client.ask(f"POST {path} HTTP/1.1\r\nHost: a\r\n".encode() + half)
        assert status == 408
        assert await client.is_over()

        async def nothing_runs() -> None:
            while server.front.running:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

        await asyncio.wait_for(nothing_runs(), 20)
    assert caplog.records == []


@pytest.mark.parametrize("path", ["/own", "/page"])
async def test_a_body_that_comes_slowly_is_awaited(path: str) -> None:
    async with serving(keep_alive=0.2) as (_, connect, _):
        client = await connect()
        client.writer.write(
            f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n".encode()
        )
        for _ in range(9):
            client.writer.write(b"a")
            await asyncio.sleep(0.1)
        status, _, body = await client.answer()
        assert (status, body[-9:]) == (200, b"a" * 9)


async def test_an_answer_may_take_longer_than_a_connection_is_idle() -> None:
    async with serving(keep_alive=0.1) as (server, connect, _):
        client = await connect()
        client.writer.write(post("/own/waits", b"a"))
        await asyncio.sleep(0.5)
        server.gate.set()
        assert (await client.answer())[0] == 200


async def test_bodies_for_which_there_is_no_memory_are_refused() -> None:
    head = b"POST /own HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n"
    async with serving(room=150_000) as (server, connect, _):
        slow, other = await connect(), await connect()
        slow.writer.write(head + BIG[:-1])

        async def holds(size: int) -> None:
            while server.front.bodies.held != size:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)

        await asyncio.wait_for(holds(len(BIG) - 1), 20)
        assert (await other.ask(head, BIG[:-1]))[0] == 503
        assert (await (await connect()).ask(post("/own", b"small")))[0] == 200
        slow.writer.write(BIG[-1:])
        assert (await slow.answer())[2] == b"POST " + BIG
        await asyncio.wait_for(holds(0), 20)
