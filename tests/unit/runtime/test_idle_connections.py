"""A connection that an HTTP client keeps for later is in no copy's way."""

from __future__ import annotations

import asyncio
import gc
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from bentofn.runtime.idle_connections import (
    close_idle_connections,
    close_idle_connections_of_loop,
)

Fetch = Callable[[str], str]


class _KeepsAlive(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.callers.append(self.client_address)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "7")
        self.end_headers()
        self.wfile.write(b"weights")

    def handle(self) -> None:
        super().handle()
        self.server.left.release()  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None: ...


class _Hub(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _KeepsAlive)
        self.callers: list[object] = []
        self.left = threading.Semaphore(0)
        self.url = f"http://127.0.0.1:{self.server_port}/"


@pytest.fixture
def hub() -> Iterator[_Hub]:
    with _Hub() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _with_httpx() -> Fetch:
    client = httpx.Client(trust_env=False)
    return lambda url: client.get(url).text


def _with_httpx2() -> Fetch:
    httpx2 = pytest.importorskip("httpx2", reason="httpx2 is not installed")
    client = httpx2.Client(trust_env=False)
    return lambda url: str(client.get(url).text)


def _with_requests() -> Fetch:
    requests = pytest.importorskip("requests", reason="requests is not installed")
    session = requests.Session()
    session.trust_env = False
    return lambda url: str(session.get(url).text)


def _with_urllib3() -> Fetch:
    urllib3 = pytest.importorskip("urllib3", reason="urllib3 is not installed")
    manager = urllib3.PoolManager()
    return lambda url: str(manager.request("GET", url).data.decode())


@pytest.mark.parametrize("client", [_with_httpx, _with_httpx2, _with_requests, _with_urllib3])
def test_an_idle_connection_is_closed_and_opened_again_when_needed(
    hub: _Hub, client: Callable[[], Fetch]
) -> None:
    fetch = client()
    assert [fetch(hub.url), fetch(hub.url)] == ["weights", "weights"]
    assert len(set(hub.callers)) == 1, "the client keeps its connection"
    close_idle_connections()
    assert hub.left.acquire(timeout=10), "its end has reached the server"
    assert fetch(hub.url) == "weights"
    assert len(set(hub.callers)) == 2


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_an_idle_connection_of_an_asynchronous_client_is_closed_too(
    hub: _Hub, library: str
) -> None:
    kind = pytest.importorskip(library).AsyncClient

    async def fetch_around_closing() -> None:
        async with kind(trust_env=False) as client:
            await client.get(hub.url)
            await close_idle_connections_of_loop()
            assert await asyncio.to_thread(hub.left.acquire, timeout=10)
            assert (await client.get(hub.url)).text == "weights"

    asyncio.run(fetch_around_closing())
    assert len(set(hub.callers)) == 2


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_connection_of_a_loop_that_has_ended_is_in_nobodys_way(hub: _Hub, library: str) -> None:
    client = pytest.importorskip(library).AsyncClient(trust_env=False)

    async def fetch() -> str:
        return str((await client.get(hub.url)).text)

    assert asyncio.run(fetch()) == "weights"
    asyncio.run(close_idle_connections_of_loop())
    assert asyncio.run(fetch()) == "weights"


def test_the_connections_of_one_that_has_served_are_closed_too(hub: _Hub) -> None:
    fetch = _with_httpx()
    fetch(hub.url)
    gc.freeze()
    try:
        close_idle_connections()
    finally:
        gc.unfreeze()
    assert hub.left.acquire(timeout=10)


def test_a_connection_in_use_is_left_alone(hub: _Hub) -> None:
    with httpx.Client(trust_env=False) as client, client.stream("GET", hub.url) as answer:
        close_idle_connections()
        assert b"".join(answer.iter_bytes()) == b"weights"


def test_a_connection_over_a_named_socket_is_closed_too(tmp_path: Path) -> None:
    class UnixHub(socketserver.UnixStreamServer):
        def get_request(self) -> tuple[Any, Any]:
            return super().get_request()[0], ("local", 0)

    class Handler(_KeepsAlive):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def handle(self) -> None:
            BaseHTTPRequestHandler.handle(self)
            ended.set()

    ended = threading.Event()
    path = str(tmp_path / "hub")
    with UnixHub(path, Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        transport = httpx.HTTPTransport(uds=path)
        with httpx.Client(transport=transport, trust_env=False) as client:
            client.get("http://hub/")
            close_idle_connections()
            assert ended.wait(10)
        thread.join()
