"""What is too large is refused with its reason, before it is in memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
from fastapi import Body, FastAPI, Request

import bentofn
from bentofn.runtime import asgi
from bentofn.runtime.errors import UserError
from bentofn.runtime.http import tasks as module
from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.http.protocol import MAX_HEAD
from bentofn.runtime.http.serving import Server

from .conftest import OpenApp

LIMIT = 100_000


@bentofn.service(name="limited", http={"max_body_size": LIMIT})
class Limited:
    @bentofn.api
    def count(self, text: str) -> int:
        return len(text)

    @bentofn.api
    def size(self, file: Path) -> int:
        return len(file.read_bytes())

    @bentofn.api
    def total(self, array: np.ndarray) -> float:
        return float(array.sum())

    @bentofn.task
    def later(self, text: str) -> int:
        return len(text)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOFN_STATE", str(tmp_path))
    monkeypatch.delenv("BENTOFN_INSTANCE", raising=False)


def body_of(size: int) -> bytes:
    """A JSON body of so many bytes."""
    return b'{"text": "' + b"x" * (size - 12) + b'"}'


async def test_a_body_may_be_as_large_as_the_service_says(open_app: OpenApp) -> None:
    form = (
        b'--B\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n%s\r\n--B--\r\n'
    )
    multipart = {"content-type": "multipart/form-data; boundary=B"}
    npy = {"content-type": "application/x-npy"}
    async with open_app(Limited) as client:
        assert (await client.post("/count", body_of(LIMIT))).status == 200
        assert (await client.post("/size", form % b"1", headers=multipart)).status == 200
        refused = [
            await client.post("/count", body_of(LIMIT + 1)),
            await client.post("/size", form % bytes(LIMIT), headers=multipart),
            await client.post("/total", bytes(LIMIT + 1), headers=npy),
            await client.post("/later/submit", body_of(LIMIT + 1)),
        ]
        declared = await client.post("/count", b"{", headers={"content-length": str(LIMIT + 1)})
    sentence = f"The body is larger than {LIMIT} bytes, which is the limit here."
    for answer in (*refused, declared):
        assert (answer.status, sentence in answer.text) == (413, True), answer.text


async def test_a_tasks_body_has_a_limit_of_its_own(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BODY", 1000)
    async with open_app(Limited) as client:
        answer = await client.post("/later/submit", body_of(1001))
        assert (answer.status, "larger than 1000 bytes" in answer.json["error"]) == (413, True)
        assert (await client.post("/later/submit", body_of(1000))).status == 200


async def test_a_platforms_task_that_is_too_large_has_that_as_its_result(
    open_app: OpenApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_INSTANCE", "v1-1")
    async with open_app(Limited) as client:
        run = {"x-bentofn-task": "t1"}
        answer = await client.post("/later/.run", body_of(LIMIT + 1), headers=run)
        assert answer.status == 413


async def test_it_holds_for_mounted_applications_too(open_app: OpenApp) -> None:
    taken: list[int] = []
    web = FastAPI()

    @web.post("/whole")
    async def whole(request: Request) -> int:
        taken.append(len(await request.body()))
        return taken[-1]

    @web.post("/parsed")
    async def parsed(text: Annotated[str, Body(embed=True)]) -> int:
        return len(text)

    @web.post("/unread")
    async def unread() -> str:
        return "not read"

    @bentofn.service(http={"max_body_size": LIMIT})
    class Host:
        pass

    Host.mount_asgi_app(web, "/web")
    unknown = {"transfer-encoding": "chunked"}
    async with open_app(Host) as client:
        for path in ("/web/whole", "/web/parsed"):
            assert (await client.post(path, body_of(LIMIT))).status == 200
            for headers in ({"content-length": str(LIMIT + 1)}, unknown):
                large = await client.post(path, body_of(LIMIT + 1), headers=headers)
                assert (large.status, "larger than" in large.text) == (413, True)
        assert (await client.post("/web/unread", body_of(LIMIT + 1))).json == "not read"
    assert taken == [LIMIT]


def test_a_limit_is_a_number() -> None:
    with pytest.raises(UserError, match=r"http\.max_body_size must be a positive whole number"):
        bentofn.service(http={"max_body_size": 0})(Limited.inner)


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    app: ServiceApp = Limited.to_asgi()
    ready = asyncio.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(asgi.configure(app), ready.set)
        serving = asyncio.ensure_future(server.serve([listener]))
        await ready.wait()
        try:
            yield listener.getsockname()[1]
        finally:
            server.stop()
            await serving


class Connection:
    """A connection on which requests are written by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(5):  # the server reads and answers on the same loop
                await asyncio.sleep(0)

    async def answer(self) -> tuple[int, Any]:
        head = await self._reader.readuntil(b"\r\n\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in head.splitlines()[1:-1])
        body = await self._reader.readexactly(int(fields[b"content-length"]))
        return int(head.split()[1]), json.loads(body)

    async def is_closed(self) -> bool:
        return await self._reader.read() == b""


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()


def head_of(length: int, *fields: bytes) -> bytes:
    lines = [b"POST /count HTTP/1.1", b"host: a", b"content-type: application/json"]
    return b"\r\n".join((*lines, b"content-length: %d" % length, *fields, b"", b""))


@pytest.mark.parametrize("how", ["one header", "many headers", "a path", "in pieces", "endless"])
async def test_a_head_that_is_too_large(how: str) -> None:
    value = b"x" * (MAX_HEAD + 1)
    one = head_of(2, b"a: " + value)
    heads = {
        "one header": [one],
        "many headers": [head_of(2, *(b"a%d: x" % n for n in range(MAX_HEAD // 8)))],
        "a path": [b"GET /" + value + b" HTTP/1.1\r\nhost: a\r\n\r\n"],
        "in pieces": [
            head_of(2, b"a: " + value)[n : n + 4096] for n in range(0, MAX_HEAD + 4096, 4096)
        ],
        "endless": [head_of(2)[:-2], b"a: ", *([b"x" * 1024] * 1000)],
    }
    async with served() as port, connected(port) as connection:
        answering = asyncio.ensure_future(connection.answer())
        with contextlib.suppress(ConnectionError):  # it has answered, and hears no more
            for piece in heads[how]:
                if not answering.done():
                    await connection.send(piece)
        status, said = await answering
        assert (status, str(MAX_HEAD) in said["error"]) == (431, True)
        assert await connection.is_closed()


async def test_a_head_that_comes_with_the_end_of_a_body() -> None:
    requests = head_of(LIMIT) + body_of(LIMIT) + head_of(14) + body_of(14)
    async with served() as port, connected(port) as connection:
        await connection.send(requests[:100], requests[100:-40], requests[-40:])
        assert await connection.answer() == (200, LIMIT - 12)
        assert await connection.answer() == (200, 2)


async def test_heads_that_are_large_enough_for_anybody() -> None:
    large = b"a: " + b"x" * (MAX_HEAD - 1000)
    body = body_of(LIMIT)
    async with served() as port, connected(port) as connection:
        for fields in ([large], [], [large]):  # what came before on a connection does not count
            head = head_of(LIMIT, *fields)
            await connection.send(head[:1000], head[1000:] + body)
            assert await connection.answer() == (200, LIMIT - 12)


async def test_a_client_that_asks_first_need_not_send_a_body_that_is_too_large() -> None:
    async with served() as port, connected(port) as connection:
        await connection.send(head_of(LIMIT + 1, b"expect: 100-continue"))
        assert (await connection.answer())[0] == 413
