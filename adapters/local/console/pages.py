"""The console's addresses.

The page itself (for who is no browser, the functions as JSON), its files, a stream of what happens,
one function's endpoints, and log lines. All of them only tell; the page calls a function at the
function's own URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from aiohttp import web

from bentofn.adapters.local.console.describe import describe
from bentofn.adapters.local.console.guard import HEADERS, why_not
from bentofn.adapters.local.console.model import Model
from bentofn.adapters.local.console.view import View
from bentofn.adapters.local.journal.metrics import CONTENT_TYPE, render
from bentofn.adapters.local.logs import read_logs
from bentofn.adapters.local.platform import Platform
from bentofn.runtime.errors import UserError

PREFIX = "/_bentofn/console/"
METRICS = "/_bentofn/metrics"

BEAT = 0.25
"""Seconds between two messages, at least, while something happens."""
SILENCE = 1.0
"""Seconds between two messages, at most: the figures of the last minute change without events."""
SWEEP = 5.0
"""Seconds between two looks for what no event tells."""
STREAMS = 32
"""Readers at a time."""
LOG_LINES = 500
"""Log lines that are shown."""

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True)
class _File:
    body: bytes
    content_type: str
    tag: str


class Console:
    """Answers for the page.

    Args:
        platform: What it shows.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._model = Model(platform.journal, platform.figures, platform.clock.speed or 1.0)
        self._streams = 0
        self._closed = asyncio.Event()

    def close(self) -> None:
        """End the streams: the platform waits for what it still answers."""
        self._closed.set()

    @staticmethod
    def answers(path: str) -> bool:
        """Whether a path is the console's."""
        return path in ("/", METRICS) or path.startswith(PREFIX)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request for one of its addresses."""
        reason = why_not(request.headers)
        if reason:
            return _json({"error": reason}, 403)
        if request.method not in ("GET", "HEAD"):
            return _json({"error": f"There is no {request.method} {request.path}."}, 405)
        if request.path == METRICS:
            headers = {**HEADERS, "Content-Type": CONTENT_TYPE}
            return web.Response(body=render(self._platform.figures), headers=headers)
        name, _, rest = request.path.removeprefix(PREFIX).partition("/")
        try:
            match name, rest:
                case "events", "":
                    return await self._stream(request)
                case "functions", _:
                    return _json(describe(self._platform.get(rest)))
                case "logs", _:
                    return await self._logs(request, rest)
        except UserError as error:
            return _json({"error": str(error)}, 404)
        if request.path == "/" and "text/html" not in request.headers.get("Accept", ""):
            return _json({"functions": self._overview()})
        return _file(request, "index.html" if request.path == "/" else name)

    def _overview(self) -> list[dict[str, Any]]:
        return [
            {"name": s.name, "url": s.url, "state": s.state, "version": s.version}
            for s in self._platform.status()
        ]

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        """Server-sent events. Source: https://html.spec.whatwg.org/multipage/server-sent-events.html"""
        if self._streams >= STREAMS:
            return _json({"error": "Too many pages read the console already."}, 503)
        headers = {**HEADERS, "Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        view = View(self._platform, self._model)
        loop = asyncio.get_running_loop()
        swept = said = 0.0
        self._streams += 1
        try:
            await response.prepare(request)
            await response.write(b"retry: 1000\n\n")
            while not self._closed.is_set():
                now = loop.time()
                sweep = now - swept >= SWEEP or not said
                if sweep or view.is_behind or now - said >= SILENCE:
                    said, swept = now, now if sweep else swept
                    document = json.dumps(view.message(sweep=sweep), separators=(",", ":"))
                    await response.write(f"data: {document}\n\n".encode())
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._closed.wait(), BEAT)
        except ConnectionResetError:
            pass  # the page was closed
        finally:
            self._streams -= 1
        return response

    async def _logs(self, request: web.BaseRequest, name: str) -> web.Response:
        self._platform.get(name)
        wanted = request.query.get("request", "")
        path = self._platform.log_of(name)

        def read() -> list[dict[str, Any]]:
            return [vars(line) for line in read_logs(path, tail=LOG_LINES, request=wanted)]

        return _json({"lines": await asyncio.to_thread(read)})


@cache
def _files() -> dict[str, _File]:
    found = {}
    for each in (resources.files("bentofn.adapters.local.console") / "static").iterdir():
        kind = _TYPES.get(each.name.rpartition(".")[2])
        if kind is not None:
            body = each.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
            found[each.name] = _File(body, kind, tag)
    return found


def _file(request: web.BaseRequest, name: str) -> web.Response:
    file = _files().get(name)
    if file is None:
        return _json({"error": f"There is no {request.path}."}, 404)
    headers = {**HEADERS, "ETag": file.tag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == file.tag:
        return web.Response(status=304, headers=headers)
    return web.Response(
        body=file.body, content_type=file.content_type, charset="utf-8", headers=headers
    )


def _json(document: dict[str, Any], status: int = 200) -> web.Response:
    body = json.dumps(document).encode()
    headers = {**HEADERS, "Cache-Control": "no-store"}
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
