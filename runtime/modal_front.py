"""The web endpoint of a class whose calls Modal joins: it passes each on as one call.

Modal lets a class with a batched method have no other, so its endpoint is a function of its own.
Source: https://modal.com/docs/guide/dynamic-batching
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

from bentofn.runtime.http.cors import with_cors
from bentofn.runtime.http.exchange import ASGIApp
from bentofn.runtime.modal_variables import CORS

Call = Callable[[str, bytes], Awaitable[Any]]
"""Takes the path of an endpoint and a body; gives ``status``, ``headers`` and ``body``."""

_OWN = {"content-length", "transfer-encoding", "connection"}


def front(call: Call) -> ASGIApp:
    """The endpoint: an application that passes requests on, by the deployment's CORS rules.

    Args:
        call: Has the class answer.
    """
    return with_cors(Front(call), json.loads(os.environ.get(CORS, "{}")))


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
        if scope["method"] != "POST":
            await _say(send, 405, {"allow": "POST"}, b"")
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
        given = {name: text for name, text in answer["headers"].items() if name not in _OWN}
        await _say(send, answer["status"], given, answer["body"])


async def _say(send: Any, status: int, headers: dict[str, str], body: bytes) -> None:
    raw = [(name.encode(), text.encode()) for name, text in headers.items()]
    raw.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


async def _live(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
