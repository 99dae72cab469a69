"""A service whose answers come from a server that its command starts."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import bentofn
from bentofn.runtime import asgi
from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.http.serving import Server
from bentofn.runtime.service import Service

SERVER = """
import os, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Prefix", self.headers.get("X-Asked", ""))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/exit":
            os._exit(3)
        if self.path == "/stream":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"4\\r\\ndata\\r\\n")
                    time.sleep(0.01)
            except OSError:
                Path(sys.argv[2]).touch()
        elif self.path in ("/health", "/a%20b?q=1"):
            self.reply(200, self.path.encode())
        else:
            self.reply(404, b"nothing here")

    def do_POST(self):
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        self.reply(201, body[::-1])

    def log_message(self, *args): ...

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

Opened = Callable[[Service[Any]], AbstractAsyncContextManager[aiohttp.ClientSession]]


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
        return number


@pytest.fixture
def left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the server makes when the client of a stream has left."""
    path = tmp_path / "left"
    monkeypatch.setenv("LEFT", str(path))
    return path


@pytest.fixture
def hosted(port: int, left: Path) -> Service[Any]:
    return Service(
        "hosted",
        {"http": {"proxy_port": port}},
        cmd=[sys.executable, "-c", SERVER, str(port), "$LEFT"],
    )


@asynccontextmanager
async def client_of(service: Service[Any]) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a service that is served over real connections."""
    app = service.to_asgi()
    ready = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(asgi.configure(app), ready.set)
        serving = asyncio.ensure_future(server.serve([listener]))
        await asyncio.wait(
            [serving, waiting := asyncio.ensure_future(ready.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        waiting.cancel()
        if serving.done():
            serving.result()
        port = listener.getsockname()[1]
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            yield session
        server.stop()
        await serving


async def test_requests_are_handed_over(hosted: Service[Any]) -> None:
    async with client_of(hosted) as client:
        async with client.get("/a%20b?q=1", headers={"X-Asked": "yes"}) as answer:
            assert (answer.status, await answer.text()) == (200, "/a%20b?q=1")
            assert answer.headers["X-Prefix"] == "yes"
        for _ in range(3):
            async with client.post("/any", data=b"abc") as answer:
                assert (answer.status, await answer.read()) == (201, b"cba")

        async def pieces() -> AsyncIterator[bytes]:
            yield b"x" * 100_000
            yield b"y"

        async with client.post("/any", data=pieces()) as answer:
            assert await answer.read() == b"y" + b"x" * 100_000
        async with client.get("/nowhere") as answer:
            assert (answer.status, await answer.text()) == (404, "nothing here")
        async with client.get("/readyz") as answer:
            assert (answer.status, await answer.text()) == (200, "\n")
        async with client.get("/metrics") as answer:
            assert 'endpoint="/"' in await answer.text()
        process = hosted.context.state["proc"]
    assert process.returncode is not None


async def test_a_stream_ends_with_its_client(hosted: Service[Any], left: Path) -> None:
    async with client_of(hosted) as client:
        async with client.get("/stream") as answer:
            assert await answer.content.readexactly(8) == b"datadata"
        assert await asyncio.to_thread(_appears, left)


def _appears(path: Path) -> bool:
    for _ in range(1000):
        if path.exists():
            return True
        time.sleep(0.01)
    return False


async def test_an_instance_ends_with_its_server(
    hosted: Service[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    signalled = asyncio.Event()
    monkeypatch.setattr(os, "kill", lambda pid, number: signalled.set())
    async with client_of(hosted) as client:
        async with client.get("/exit") as answer:
            assert answer.status == 503
        await signalled.wait()
        async with client.get("/readyz") as answer:
            assert answer.status == 503


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ([sys.executable, "-c", "raise SystemExit(7)"], "ended with status 7 before"),
        (["/nothing/there"], r"cannot be run: /nothing/there: No such file"),
        ([sys.executable, "$NOT_SET_ANYWHERE"], "needs the environment variable NOT_SET_ANYWHERE"),
        ([1], "must be a list of strings"),
    ],
)
async def test_commands_that_start_nothing(port: int, command: Any, message: str) -> None:
    @bentofn.service(http={"proxy_port": port})
    class Failing:
        def __command__(self) -> list[str]:
            result: list[str] = command
            return result

    with pytest.raises(BentoMLException, match=message):
        async with client_of(Failing):
            pass


async def test_a_server_without_the_health_endpoint(hosted: Service[Any]) -> None:
    hosted.config["endpoints"] = {"livez": "/ping"}
    with pytest.raises(BentoMLException, match=r"has no /ping \(404\)"):
        async with client_of(hosted):
            pass


async def test_a_port_that_is_taken(hosted: Service[Any], port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(BentoMLException, match=f"Port {port}, where hosted expects"),
    ):
        async with client_of(hosted):
            pass
