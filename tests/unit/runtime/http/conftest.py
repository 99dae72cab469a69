"""A client that drives an ASGI application in the test's own loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.service import Service


@dataclass
class Answer:
    """A response as it was sent, and after each chunk of it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    complete: bool = False

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Sends requests to an application."""

    def __init__(self, app: ServiceApp) -> None:
        self.app = app

    async def post(
        self,
        path: str,
        content: Any = None,
        *,
        headers: dict[str, str] | None = None,
        leave_after: int | None = None,
    ) -> Answer:
        """POST bytes as they are, and anything else as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return await self.request("POST", path, body, headers, leave_after)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return await self.request("GET", path, b"", headers)

    async def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        leave_after: int | None = None,
        root_path: str = "",
    ) -> Answer:
        """Send a request; the client leaves after so many chunks of the answer."""
        answer = Answer()
        left = asyncio.Event()
        given = {"content-type": "application/json", **(headers or {})}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path.partition("?")[0],
            "raw_path": path.partition("?")[0].encode(),
            "root_path": root_path,
            "query_string": path.partition("?")[2].encode(),
            "headers": [(key.lower().encode(), value.encode()) for key, value in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        half = len(body) // 2
        messages = [
            {"type": "http.request", "body": body[:half], "more_body": True},
            {"type": "http.request", "body": body[half:], "more_body": False},
        ]

        async def receive() -> Any:
            if messages:
                return messages.pop(0)
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                for name, value in message["headers"]:
                    answer.headers[name.decode().lower()] = value.decode()
            else:
                answer.chunks.append(message.get("body", b""))
                answer.complete = not message.get("more_body", False)
                if len(answer.chunks) == leave_after:
                    left.set()

        await self.app(scope, receive, send)
        return answer


OpenApp = Callable[[Service[Any]], AbstractAsyncContextManager[Client]]


@pytest.fixture
def open_app() -> OpenApp:
    """Starts a service's application and stops it at the end of the block."""

    @asynccontextmanager
    async def opened(service: Service[Any]) -> AsyncIterator[Client]:
        app = service.to_asgi()
        await app.start()
        try:
            yield Client(app)
        finally:
            await app.stop()

    return opened
