"""What a service tells of its requests where its configuration asks for it.

The access log (``logging.access``) has BentoML's lines; bentofn keeps none by default, since a line
costs more than a small answer. Source: bentoml/_internal/server/http/access.py of BentoML 1.4
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any

from bentofn.runtime.http.exchange import ASGIApp, Message, Receive, Scope, Send

_QUIET = ("/metrics", "/healthz", "/livez", "/readyz")
_TRACE = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def observed(app: ASGIApp, config: Mapping[str, Any]) -> ASGIApp:
    """An application that logs and marks its answers, as far as its configuration says.

    Args:
        app: The application.
        config: The service's configuration.
    """
    if config.get("http", {}).get("response", {}).get("trace_id", False):
        app = TraceId(app)
    access = config.get("logging", {}).get("access")
    if access is not None and access.get("enabled", True):
        app = AccessLog(app, access)
    return app


class TraceId:
    """Adds ``X-BentoML-Trace-ID``: the trace that the request belongs to, or a new one.

    Source: https://www.w3.org/TR/trace-context/#traceparent-header
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        found = _TRACE.fullmatch(dict(scope["headers"]).get(b"traceparent", b""))
        trace = found.group(1) if found else secrets.token_hex(16).encode()

        async def mark(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-bentoml-trace-id", trace)]
                message = {**message, "headers": headers}
            await send(message)

        await self._app(scope, receive, mark)


class AccessLog:
    """Writes a line for each answer to stdout, by the logger ``bentofn.access``.

    Args:
        app: The application.
        config: ``logging.access``: ``skip_paths``, and which types and lengths a line tells.
    """

    def __init__(self, app: ASGIApp, config: Mapping[str, Any]) -> None:
        self._app = app
        self._skipped = tuple(config.get("skip_paths", _QUIET))
        sides = ("request", "response")
        self._shown = {
            side: [
                (kind, f"content-{kind}".encode())
                for kind in ("type", "length")
                if config.get(f"{side}_content_{kind}", True)
            ]
            for side in sides
        }
        self._log = _logger()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["path"].startswith(self._skipped):
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        response: list[str] = []

        async def watch(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start":
                status = f"status={message['status']}"
                response[:] = [status, *self._told("response", message.get("headers", ()))]
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                self._write(scope, response, time.perf_counter() - began)

        await self._app(scope, receive, watch)

    def _write(self, scope: Scope, response: list[str], seconds: float) -> None:
        client = scope.get("client")
        address = f"{client[0]}:{client[1]}" if client else "_"
        request = [f"{name}={_printable(scope[name])}" for name in ("scheme", "method", "path")]
        request += self._told("request", scope["headers"])
        self._log.info(
            "%s (%s) (%s) %.3fms", address, ",".join(request), ",".join(response), seconds * 1000
        )

    def _told(self, side: str, headers: Any) -> list[str]:
        found = {bytes(name).lower(): value for name, value in headers}
        return [
            f"{kind}={_printable(bytes(found.get(header, b'')).decode('latin-1'))}"
            for kind, header in self._shown[side]
        ]


def _printable(text: str) -> str:
    """A text of the caller's without what would end the line or move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _logger() -> logging.Logger:
    logger = logging.getLogger("bentofn.access")
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(logging.Formatter("%(asctime)s [access] %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger
