"""Calls of a service in another process, here of a server on another thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn

import bentofn
from bentofn.runtime import asgi
from bentofn.runtime.context import EXAMPLE, Context, current_context
from bentofn.runtime.errors import BentoMLException, InvalidArgument, ServiceUnavailable
from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.proxy import addresses, connect, wire
from bentofn.runtime.proxy.base import Proxy


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
    def header(self, ctx: bentofn.Context) -> bool:
        return "x-bentofn-sibling" in ctx.request.headers

    @bentofn.api
    def example(self, ctx: bentofn.Context) -> bool:
        return ctx.is_example


class Server:
    """A server of the service on a socket."""

    def __init__(self, path: Path) -> None:
        self.instance: Any = Far()
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        listener.listen(16)
        self._server = uvicorn.Server(asgi.configure(ServiceApp(Far, self.instance)))
        self._thread = threading.Thread(target=self._server.run, args=([listener],))
        self._thread.start()

    def stop(self) -> None:
        """End it, and its connections."""
        self._server.should_exit = self._server.force_exit = True
        self._thread.join()


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
    server = Server(place)
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
    assert far.header() is True

    async def ask() -> Any:
        calls = [far.double([n]) for n in range(20)]
        return await asyncio.gather(*calls, far.to_async.scale(x, 0.5))

    *doubled, half = asyncio.run(ask())
    assert doubled == [[2 * n] for n in range(20)]
    assert np.array_equal(half, x / 2)
    assert asyncio.run(far.is_ready())


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
        server = Server(place)
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
    with pytest.raises(ShapeError):
        far.fail("own")
    monkeypatch.delenv(addresses.ROLE)
    with pytest.raises(BentoMLException, match="not allowed") as caught:
        far.fail("own")
    assert caught.value.error_code == 415


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
