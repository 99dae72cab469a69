"""Calls of a service in another process, here of a server on another thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bentofn
from bentofn.runtime.context import EXAMPLE, Context, current_context
from bentofn.runtime.errors import BentoMLException, InvalidArgument, ServiceUnavailable
from bentofn.runtime.event_loop import new_event_loop
from bentofn.runtime.http.exchange import ASGIApp, Receive, Scope, Send
from bentofn.runtime.proxy import addresses, connect, wire
from bentofn.runtime.proxy.base import Proxy
from tests.unit.runtime.proxy.serving import Server, sockets, soon


class ShapeError(ValueError):
    """An exception of the user's own."""


@bentofn.service(name="far", traffic={"timeout": 20}, threads=4)
class Far:
    def __init__(self) -> None:
        self.closed = threading.Event()

    @bentofn.api
    def scale(self, x: np.ndarray, by: float = 2.0) -> np.ndarray:
        return x * by

    @bentofn.api(batchable=True)
    async def double(self, numbers: list[int]) -> list[int]:
        return [2 * each for each in numbers]

    @bentofn.api
    def fail(self, kind: str) -> str:
        if kind == "own":
            raise ShapeError("too long")
        raise InvalidArgument("not that")

    @bentofn.api
    async def count(self, n: int) -> AsyncIterator[dict[str, int]]:
        try:
            for i in range(n):
                yield {"i": i}
            raise ShapeError("the end")
        finally:
            self.closed.set()

    @bentofn.api
    def written(self, text: str, ctx: bentofn.Context) -> Path:
        path = Path(ctx.temp_dir) / "out.txt"
        path.write_text(text)
        return path

    @bentofn.api
    def headers(self, ctx: bentofn.Context) -> list[str]:
        return [*ctx.request.headers, *ctx.request.scope["seen"]]

    @bentofn.api
    def origin(self, ctx: bentofn.Context) -> list[str]:
        return [ctx.request_id, ctx.request.headers.get("traceparent", "")]

    @bentofn.api
    def answer(self, context: str, question: str = "", *more: int) -> list[Any]:
        return [context, question, *more]

    @bentofn.api
    def example(self, ctx: bentofn.Context) -> bool:
        return ctx.is_example


class Watching:
    """A middleware of the user's own, which notes the headers of what it is asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["seen"] = [name.decode() for name, _ in scope.get("headers", ())]
        await self._app(scope, receive, send)


Far.add_asgi_middleware(Watching)


async def mounted(scope: Scope, receive: Receive, send: Send) -> None:
    """An application of the user's own, which tells the headers of what it is asked."""
    names = b" ".join(name for name, _ in scope["headers"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": names})


Far.mount_asgi_app(mounted, "/mounted")


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the server listens, which the environment says; it takes siblings' calls."""
    path = tmp_path_factory.mktemp("s") / "far.sock"
    where = addresses.Addresses({"far": str(path)}, "s3cret")
    monkeypatch.setenv(addresses.VARIABLE, where.to_text())
    monkeypatch.setenv(addresses.ROLE, "far")
    return path


@pytest.fixture
def server(place: Path) -> Iterator[Server]:
    server = Server(Far, place)
    yield server
    server.stop()


@pytest.fixture
def far() -> Iterator[Proxy]:
    proxy = connect(Far, None)
    yield proxy
    proxy.transport.close()


@pytest.mark.usefixtures("place", "server")
def test_values_come_through_in_both_ways_of_calling(far: Proxy) -> None:
    x = np.arange(1_000_000, dtype=np.float64).reshape(1000, 1000)
    assert np.array_equal(far.scale(x), x * 2)
    assert np.array_equal(far.to_sync.scale([1.0, 2.0], by=3), [3.0, 6.0])
    assert far.answer("facts", "why", 1, "2") == ["facts", "why", 1, 2]
    assert far.answer("facts") == ["facts", ""]

    async def ask() -> Any:
        calls = [far.double([n]) for n in range(20)]
        return await asyncio.gather(*calls, far.to_async.scale(x, 0.5))

    *doubled, half = asyncio.run(ask())
    assert doubled == [[2 * n] for n in range(20)]
    assert np.array_equal(half, x / 2)
    assert asyncio.run(far.is_ready())


@pytest.mark.usefixtures("place", "server")
def test_a_file_comes_through_and_lives_as_long_as_its_callers_request(far: Proxy) -> None:
    request = Context({"type": "http", "headers": []}, b"", {})
    token = current_context.set(request)
    try:
        paths = [far.written("one"), asyncio.run(far.to_async.written("two"))]
    finally:
        current_context.reset(token)
    assert [(path.name, path.read_text()) for path in paths] == [
        ("out.txt", "one"),
        ("out.txt", "two"),
    ]
    request.close()
    assert not any(path.exists() for path in paths)


@pytest.mark.usefixtures("place", "server")
def test_a_call_has_the_id_and_the_trace_of_the_request_that_it_is_made_for(far: Proxy) -> None:
    assert far.origin()[1] == ""
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    scope = {"type": "http", "headers": [(b"traceparent", parent.encode())]}
    token = current_context.set(Context(scope, b"", {}, "mine"))
    try:
        assert far.origin() == ["mine", parent]
        assert asyncio.run(far.to_async.origin()) == ["mine", parent]
        client = far.to_sync.client
        assert client.post("/origin").json() == ["mine", parent]
        named = {"X-Bentofn-Request-Id": "other", "X-Bentofn-Sibling": "guessed"}
        assert client.post("/origin", headers=named).json() == ["other", parent]
    finally:
        current_context.reset(token)


@pytest.mark.usefixtures("place", "server")
def test_exceptions_come_through_as_they_are(far: Proxy) -> None:
    with pytest.raises(ShapeError, match="too long"):
        far.fail("own")
    with pytest.raises(InvalidArgument, match=r"^not that$"):
        asyncio.run(far.to_async.fail("other"))
    with pytest.raises(InvalidArgument, match=r"Far\.scale: Input\.x: Field required"):
        far.scale()
    with pytest.raises(TypeError, match="takes 1 arguments but 2 were given"):
        far.fail("a", "b")
    with pytest.raises(AttributeError, match="non-api method 'closed'"):
        _ = far.closed


@pytest.mark.usefixtures("place")
def test_streams_come_through_to_their_exception_and_are_closed_early(
    server: Server, far: Proxy
) -> None:
    async def collect(n: int, stop: int) -> list[Any]:
        found: list[Any] = []
        async with contextlib.aclosing(far.count(n)) as stream:
            with pytest.raises(ShapeError, match="the end") if stop > n else _nothing():
                async for each in stream:
                    found.append(each)
                    if len(found) == stop:
                        break
        return found

    assert asyncio.run(collect(3, 9)) == [{"i": 0}, {"i": 1}, {"i": 2}]
    server.instance.closed.clear()
    assert asyncio.run(collect(1_000_000, 2)) == [{"i": 0}, {"i": 1}]
    assert server.instance.closed.wait(20)
    server.instance.closed.clear()
    stream = far.to_sync.count(1_000_000)
    assert next(stream) == {"i": 0}
    stream.close()
    assert server.instance.closed.wait(20)


def test_a_server_that_ended_is_connected_to_again(place: Path, far: Proxy) -> None:
    with pytest.raises(ServiceUnavailable, match="far takes no connections"):
        far.fail("own")
    for _ in range(2):
        server = Server(Far, place)
        try:
            assert far.to_sync.double([1]) == [2]
            assert asyncio.run(far.double([2])) == [4]
        finally:
            server.stop()
    assert not asyncio.run(far.is_ready(1))


@pytest.mark.usefixtures("server")
def test_only_who_knows_the_secret_is_read(
    place: Path, far: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert far.to_sync.client.get("/readyz").status_code == 200
    message = b"".join(wire.pack({"kind": "own"}))
    types = {"content-type": wire.MEDIA_TYPE}
    assert far.to_sync.client.post("/fail", content=message, headers=types).status_code == 415
    monkeypatch.delenv(addresses.ROLE)
    entry = Server(Far, place)
    try:
        with pytest.raises(BentoMLException, match="not allowed") as caught:
            far.fail("own")
    finally:
        entry.stop()
    assert caught.value.error_code == 415


@pytest.mark.usefixtures("place", "server")
def test_no_code_of_the_users_sees_the_secret(far: Proxy) -> None:
    told = far.headers()
    assert told.count("content-type") == 2
    told += far.to_sync.client.get("/mounted/").text.split()
    assert told.count("user-agent") == 1
    assert addresses.HEADER not in told


@pytest.mark.parametrize("count", [1, 5])
def test_connections_that_ended_while_they_were_kept_are_no_error(
    place: Path, far: Proxy, count: int
) -> None:
    def in_threads() -> list[Any]:
        together = threading.Barrier(count)

        def ask(n: int) -> Any:
            together.wait()
            return far.to_sync.double([n])

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(ask, range(count)))

    async def on_a_loop() -> list[Any]:
        return list(await asyncio.gather(*(far.double([n]) for n in range(count))))

    expected = [[2 * n] for n in range(count)]
    loop = new_event_loop()
    for _ in range(3):
        server = Server(Far, place)
        try:
            assert in_threads() == expected
            assert loop.run_until_complete(on_a_loop()) == expected
        finally:
            server.stop()
    far.transport.close()
    loop.close()


def test_a_call_that_was_read_is_not_made_again(place: Path, far: Proxy) -> None:
    """Whoever has read it may have run it; with all that follows from running it twice."""
    asked = b""
    call = b"".join(wire.pack({"numbers": [1]}))
    body = b"".join(wire.pack([2]))
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {wire.MEDIA_TYPE}\r\ncontent-length: {len(body)}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(place))
    listener.listen()

    def answer_once() -> None:
        nonlocal asked
        connection, _ = listener.accept()
        while asked.count(call) < 1:
            asked += connection.recv(1 << 16)
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        while asked.count(call) < 2:
            asked += connection.recv(1 << 16)
        connection.close()

    thread = threading.Thread(target=answer_once)
    thread.start()
    assert far.to_sync.double([1]) == [2]
    with pytest.raises(ServiceUnavailable, match="far ended while it answered"):
        far.to_sync.double([1])
    thread.join()
    listener.settimeout(0)
    with listener, pytest.raises(BlockingIOError):
        listener.accept()


class Contended(list[Any]):
    """Connections that are kept, of which another call takes each as soon as it is there."""

    def __init__(self, take: Any) -> None:
        self._take = take
        self.taken: list[Any] = []

    def append(self, line: Any) -> None:
        super().append(line)
        if not self.taken:
            self.taken.append(self._take())


@pytest.mark.usefixtures("server")
def test_a_connection_that_another_call_took_stays_open(
    far: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take() -> Any:
        stream = far.to_sync.count(200_000)
        assert next(stream) == {"i": 0}
        return stream

    kept = Contended(take)
    monkeypatch.setattr(far.transport, "_idle", kept)
    assert far.to_sync.double([1]) == [2]
    with pytest.raises(ShapeError):
        list(kept.taken[0])


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.usefixtures("place", "server")
def test_no_connection_is_left_of_loops_that_ended_nor_at_the_snapshot_point(far: Proxy) -> None:
    before = sockets()
    far.to_sync.double([1])
    for _ in range(6):
        assert asyncio.run(far.double([2])) == [4]
    assert soon(lambda: sockets() <= before + 4)  # both ends of a thread's, and of the last loop's
    running = asyncio.new_event_loop()
    running.run_until_complete(far.double([2]))  # it neither runs nor has ended
    far.transport.close()
    assert soon(lambda: sockets() <= before + 3)  # the loop's own two, and the collector's
    running.close()
    assert soon(lambda: sockets() == before)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_an_http_client_keeps_no_connection_and_finds_where_its_service_is_now(
    place: Path, far: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sockets()
    client, async_client = far.to_sync.client, far.to_async.client

    async def ask() -> int:
        return (await async_client.get("/readyz")).status_code

    for path in (place, place.with_name("elsewhere.sock")):
        where = addresses.Addresses({"far": str(path)}, "s3cret")
        monkeypatch.setenv(addresses.VARIABLE, where.to_text())
        server = Server(Far, path)
        serving = sockets()
        try:
            assert client.get("/readyz").status_code == 200
            assert asyncio.run(ask()) == 200
            assert soon(lambda serving=serving: sockets() == serving)
        finally:
            server.stop()
    assert soon(lambda: sockets() == before)


@pytest.mark.usefixtures("server")
def test_what_an_example_asks_is_part_of_the_example(far: Proxy) -> None:
    def ask() -> tuple[bool, bool]:
        return far.to_sync.example(), asyncio.run(far.to_async.example())

    assert ask() == (False, False)
    example = Context({"type": "http", "extensions": {EXAMPLE: {}}}, b"", {})
    token = current_context.set(example)
    try:
        assert ask() == (True, True)
    finally:
        current_context.reset(token)
    forged = {addresses.EXAMPLE_HEADER: "1"}
    assert far.to_sync.client.post("/example", json={}, headers=forged).json() is False


@contextlib.contextmanager
def _nothing() -> Iterator[None]:
    yield
