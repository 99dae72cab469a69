"""The request as an endpoint sees it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request

Message = MutableMapping[str, Any]


class ServiceRequest(Request):
    """Starlette's request, with BentoML's older name for its headers."""

    @property
    def metadata(self) -> Headers:
        """The headers."""
        return self.headers


def replay(body: bytes) -> Callable[[], Awaitable[Message]]:
    """An ASGI channel that gives a body which was already read."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
