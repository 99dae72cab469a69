"""What a coroutine leaves does not outlive its loop."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bentofn.runtime.own_loop import run_to_end


class _KeepsAlive(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _KeepsAlive) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_client_that_an_example_has_used_answers_the_first_request(
    url: str, library: str
) -> None:
    pytest.importorskip(library)
    client = importlib.import_module(library).AsyncClient(trust_env=False)

    async def fetch() -> str:
        await client.get(url)
        return str((await client.get(url)).text)

    assert [run_to_end(fetch()) for _ in range(2)] == ["ok", "ok"]


def test_its_tasks_are_cancelled() -> None:
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    async def main() -> asyncio.Task[None]:
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        return task

    assert run_to_end(main()).cancelled()
    assert ended == ["task"]
