"""HTTP/1.1 as clients speak it, byte by byte."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
from typing import Any

import pytest
from raw_http import post, serving

import bentofn
from bentofn.runtime.http.connection import Connection
from bentofn.runtime.http.cycle import Cycle

BIG = b"x" * 1_000_000
VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")


@bentofn.service(name="spoken")
class Spoken:
    @bentofn.api
    async def length(self, data: bytes, /) -> int:
        return len(data)

    @bentofn.api
    async def said(self, name: str, value: str, context: bentofn.Context) -> str:
        context.response.headers[name] = value
        return "said"

    @bentofn.api
    async def empty(self, context: bentofn.Context) -> str:
        context.response.status_code = 204
        return "dropped"

    @bentofn.api
    def slow(self, data: bytes, /) -> bytes:
        return data


async def app(scope: Any, receive: Any, send: Any) -> None:
    """An application in ASGI's own words."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})
        return
    route = scope["path"]
    headers: list[tuple[bytes, bytes]] = []
    start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": headers}
    if route == "/fails":
        raise RuntimeError("on purpose")
    if route == "/silent":
        return
    if route == "/early":
        headers.append((b"content-length", b"5"))
        await send(start)
        await send({"type": "http.response.body", "body": b"early"})
        if scope["query_string"] == b"fails":
            raise RuntimeError("on purpose")
        return
    if route == "/variable":
        await receive()
        headers.append((b"x-before", VARIABLE.get().encode()))
        VARIABLE.set(scope["query_string"].decode())
        await send(start)
        await send({"type": "http.response.body", "body": b"."})
        return
    if route == "/bye":
        headers += [(b"content-length", b"3"), (b"Connection", b"Close")]
    if route == "/short":
        headers.append((b"content-length", b"10"))
    if route == "/forged":
        headers.append((b"x-y", b"a\r\nx-z: b"))
    if route == "/nothing":
        start["status"] = 204
        headers.append((b"content-length", b"7"))
    body = b""
    while True:
        message = await receive()
        body += message["body"]
        if not message["more_body"]:
            break
    await send(start)
    if route == "/nothing":
        await send({"type": "http.response.body", "body": b"dropped"})
    elif route in ("/bye", "/short", "/forged"):
        await send({"type": "http.response.body", "body": b"bye"})
    elif route == "/scope":
        told = f"{scope['method']} {scope['path']} {scope['raw_path']} {scope['query_string']}"
        await send({"type": "http.response.body", "body": told.encode()})
    else:
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"."})


async def test_requests_one_after_the_other_on_one_connection() -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        for number in range(3):
            status, headers, body = await client.ask(post("/echo", b"%d" % number))
            assert (status, headers["transfer-encoding"], body) == (200, "chunked", b"%d." % number)


async def test_requests_that_do_not_wait_are_answered_in_their_order() -> None:
    async with serving(Spoken.to_asgi()) as (connect, _):
        client = await connect()
        client.writer.write(post("/slow", b"1") + post("/length", b"22") + post("/slow", b"3"))
        found = [(await client.answer())[2] for _ in range(3)]
        assert found == [b"1", b"2", b"3"]
        assert (await client.ask(post("/length", b"4444")))[2] == b"4"


async def test_a_request_does_not_see_the_variables_of_the_one_before_it() -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        client.writer.write(post("/variable?first") + post("/variable?second"))
        assert [(await client.answer())[1]["x-before"] for _ in range(2)] == ["none", "none"]


@pytest.mark.parametrize("application", [app, Spoken.to_asgi()])
async def test_bodies_that_come_in_pieces(application: Any) -> None:
    async with serving(application) as (connect, _):
        client = await connect()
        whole = post("/length", BIG)
        status, _, body = await client.ask(whole[:10], whole[10:60], whole[60:200], whole[200:])
        assert (status, body) == (200, BIG + b"." if application is app else b"1000000")
        head = b"POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        _, _, body = await client.ask(head, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n")
        assert body == (b"abcde." if application is app else b"5")


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        ask = post("/echo", b"abc", "Expect: 100-continue")
        client.writer.write(ask[:-3])
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.ask(b"abc"))[2] == b"abc."


async def test_an_answer_before_the_body_was_read_leaves_the_connection_usable() -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        ask = post("/early", BIG)
        assert (await client.ask(ask[:100]))[2] == b"early"
        assert (await client.ask(ask[100:], post("/echo", b"next")))[2] == b"next."


async def test_heads_and_answers_without_a_body() -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        client.writer.write(b"HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        status, headers, _ = await client.answer(has_body=False)
        assert (status, "transfer-encoding" in headers) == (200, False)
        client.writer.write(post("/nothing"))
        status, headers, _ = await client.answer(has_body=False)
        assert (status, headers) == (204, {})
        assert (await client.ask(post("/echo", b"a")))[2] == b"a."


async def test_a_status_without_a_body_has_none() -> None:
    async with serving(Spoken.to_asgi()) as (connect, _):
        client = await connect()
        client.writer.write(post("/empty"))
        status, headers, _ = await client.answer(has_body=False)
        assert (status, "content-length" in headers) == (204, False)
        assert (await client.ask(post("/length", b"22")))[2] == b"2"


async def test_an_answer_instead_of_a_word_to_go_on_ends_the_connection() -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        ask = post("/early", b"abc", "Expect: 100-continue")
        _, headers, body = await client.ask(ask[:-3])
        assert (headers["connection"], body) == ("close", b"early")
        assert await client.is_over()
        client = await connect()
        headers = (await client.ask(post("/early", b"", "Expect: 100-continue")))[1]
        assert "connection" not in headers


async def test_who_fails_after_its_response_leaves_the_connection_open() -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        assert (await client.ask(post("/early?fails")))[2] == b"early"
        assert (await client.ask(post("/echo", b"next")))[2] == b"next."


async def test_who_ends_a_connection() -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        status, headers, body = await client.ask(post("/echo", b"a", "Connection: close"))
        assert (status, headers["connection"], body) == (200, "close", b"a.")
        assert await client.is_over()
        client = await connect()
        assert (await client.ask(post("/bye")))[1]["connection"] == "Close"
        assert await client.is_over()
        client = (
            await connect()
        )  # HTTP/1.0 knows no chunks: the end of the body is the connection's
        _, headers, body = await client.ask(b"POST /echo HTTP/1.0\r\nContent-Length: 1\r\n\r\na")
        assert (headers, body) == ({"connection": "close"}, b"a.")


async def test_a_method_says_more_in_its_response() -> None:
    async with serving(Spoken.to_asgi()) as (connect, _):
        client = await connect()
        for name, value, status in (("x-a", "b", 200), ("x-a", "\x01", 500), ("x a", "b", 500)):
            body = json.dumps({"name": name, "value": value}).encode()
            found, headers, _ = await client.ask(post("/said", body))
            assert (found, headers.get(name)) == (status, value if status == 200 else None)
        for name in ("Content-Length", "Transfer-Encoding"):
            body = json.dumps({"name": name, "value": "99"}).encode()
            assert (await client.ask(post("/said", body)))[2] == b"said"
        body = b'{"name": "Connection", "value": "close"}'
        assert (await client.ask(post("/said", body)))[2] == b"said"
        assert await client.is_over()


async def test_the_target_is_taken_apart() -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        client.writer.write(post("/sco%70e?a=%20b"))
        assert (await client.answer())[2] == rb"POST /scope b'/sco%70e' b'a=%20b'"


@pytest.mark.parametrize("path", ["/fails", "/silent", "/forged"])
async def test_an_application_that_fails_is_answered_for(path: str) -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        assert (await client.ask(post(path)))[::2] == (500, b"Internal Server Error")
        assert await client.is_over()


async def test_a_body_that_is_too_short_ends_the_connection() -> None:
    async with serving(app) as (connect, _):
        client = await connect()
        client.writer.write(post("/short"))
        received = await asyncio.wait_for(client.reader.read(), 10)
        assert received.endswith(b"\r\n\r\n")


async def _eventually(look: Any) -> Any:
    for _ in range(1000):
        if found := look():
            return found
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come about")


async def test_an_idle_connection_is_closed_and_a_busy_one_is_not() -> None:
    async with serving(app, keep_alive=0.3) as (connect, _):
        client = await connect()
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() < began + 0.6:
            assert (await client.ask(post("/echo", b"a")))[2] == b"a."
            await asyncio.sleep(0.05)
        assert await client.is_over()


async def test_a_request_that_takes_longer_than_idle_connections_live_is_answered() -> None:
    async with serving(app, keep_alive=0.1) as (connect, server):
        client = await connect()
        asked = post("/echo", b"late")
        client.writer.write(asked[:-1])
        (connection,) = await _eventually(lambda: list(server.state.connections))
        loop = asyncio.get_running_loop()
        over = loop.time() + 3 * 0.1
        await _eventually(lambda: loop.time() > over)
        assert connection in server.state.connections
        assert (await client.ask(asked[-1:]))[2] == b"late."
        assert await client.is_over()


@pytest.mark.parametrize("sent", [b"", b"POST /echo HTTP/1.1\r\nHost: a\r\nX"])
async def test_a_client_that_never_asks_is_not_waited_for(sent: bytes) -> None:
    async with serving(app, keep_alive=0.1) as (connect, _):
        client = await connect()
        client.writer.write(sent)
        assert await client.is_over()


async def test_a_stop_ends_idle_connections_and_lets_the_others_finish() -> None:
    async with serving(app) as (connect, server):
        idle, busy = await connect(), await connect()
        await idle.ask(post("/echo", b"a"))
        ask = post("/echo", b"late")
        busy.writer.write(ask[:-2])
        for _ in range(1000):
            if server.state.tasks:
                break
            await asyncio.sleep(0.01)
        server.stop()
        assert await idle.is_over()
        _, headers, body = await busy.ask(ask[-2:])
        assert (headers["connection"], body) == ("close", b"late.")
        assert await busy.is_over()


async def test_a_connection_that_ended_leaves_nothing_to_the_collector() -> None:
    def kept() -> int:
        return sum(issubclass(type(each), Connection | Cycle) for each in gc.get_objects())

    async with serving(Spoken.to_asgi()) as (connect, server):
        gc.collect()
        gc.disable()
        try:
            before = kept()
            client = await connect()
            assert (await client.ask(post("/slow", b"a")))[2] == b"a"
            client.writer.close()
            for _ in range(1000):
                if not server.state.connections and kept() == before:
                    break
                await asyncio.sleep(0.01)
            assert kept() == before
        finally:
            gc.enable()
