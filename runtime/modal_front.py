"""The web endpoint of a class whose calls Modal joins: it passes each on as one call.

Modal lets a class with a batched method have no other, so its endpoint is a function of its own.
Source: https://modal.com/docs/guide/dynamic-batching
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Call = Callable[[str, bytes], Awaitable[Any]]
"""Takes the path of an endpoint and a body; gives ``status``, ``headers`` and ``body``."""

_OWN = {"content-length", "transfer-encoding", "connection"}


class Front:
    """An ASGI application that passes requests on, whole.

    Args:
        call: Has the class answer.
    """

    def __init__(self, call: Call) -> None:
        self._call = call

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See the ASGI specification."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        answer = await self._call(scope["path"], body)
        headers = [
            (name.encode(), value.encode())
            for name, value in answer["headers"].items()
            if name not in _OWN
        ]
        headers.append((b"content-length", b"%d" % len(answer["body"])))
        start = {"type": "http.response.start", "status": answer["status"], "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": answer["body"]})


async def _live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
