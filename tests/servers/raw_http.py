"""HTTP/1.1 byte by byte: a server of an ASGI application, and clients that say what they must."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bentofn.runtime import asgi
from bentofn.runtime.http.serving import KEEP_ALIVE, Server


class Client:
    """A connection that says exactly what it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, *parts: bytes) -> tuple[int, dict[str, str], bytes]:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
        return await self.answer()

    async def answer(self, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        async def whole() -> tuple[int, dict[str, str], bytes]:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = [line.split(": ", 1) for line in head[1:] if line]
            headers = {name.lower(): value for name, value in fields}
            assert len(headers) == len(fields)
            body = b""
            if not has_body:
                pass
            elif headers.get("transfer-encoding") == "chunked":
                while size := int((await self.reader.readuntil(b"\r\n")), 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readexactly(2)
            elif "content-length" in headers:
                body = await self.reader.readexactly(int(headers["content-length"]))
            elif headers.get("connection") == "close":
                body = await self.reader.read()
            return int(head[0].split()[1]), headers, body

        return await asyncio.wait_for(whole(), 10)

    async def is_over(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), 10) == b""


class Gated:
    """An application that says when a request began, and whose answers may wait for its gate."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.gate = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        self.began.set()
        await self.answer(scope, receive, send)

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        raise NotImplementedError


@asynccontextmanager
async def serving(
    application: Any, keep_alive: float = KEEP_ALIVE, *, websockets: bool = False
) -> AsyncIterator[Any]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = asgi.configure(application, websockets=websockets)
        config.keep_alive = keep_alive
        ready = asyncio.Event()
        server = Server(config, ready.set)
        running = asyncio.ensure_future(server.serve([listener]))
        await ready.wait()
        clients = []

        async def connect() -> Client:
            clients.append(Client(*await asyncio.open_connection(*listener.getsockname())))
            return clients[-1]

        yield connect, server
        for client in clients:
            client.writer.close()
        server.stop()
        await asyncio.wait_for(running, 20)


def post(path: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
