"""One request of a connection and its response: the server's end of ASGI's two channels.

Source: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Iterable
from typing import Protocol

from bentofn.runtime.http.direct import Direct
from bentofn.runtime.http.exchange import (
    LENGTHS,
    ASGIApp,
    Header,
    Message,
    Reply,
    Scope,
    check_headers,
)

logger = logging.getLogger("bentofn.server")

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}

_BODYLESS = (204, 304)
"""Statuses whose responses have no body (RFC 9110, section 6.4.1)."""

_ERROR: list[Header] = [
    (b"content-type", b"text/plain; charset=utf-8"),
    (b"content-length", b"21"),
    (b"connection", b"close"),
]


class Wire(Protocol):
    """The connection that a request came on."""

    transport: asyncio.Transport
    writable: asyncio.Event | None
    """Set when more may be written; None while nothing is held up."""

    def resume_reading(self) -> None:
        """Read on, if reading was paused and may go on."""

    def answered(self) -> None:
        """The response was written to its end."""


def status_line(status: int) -> bytes:
    """A response's first line."""
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def head(status: int, headers: Iterable[Header]) -> list[bytes]:
    """A response's head, without the empty line that ends it."""
    lines = [status_line(status)]
    lines += [b"%b: %b\r\n" % each for each in headers]
    return lines


def last(reply: Reply) -> bytes:
    """A response that ends its connection."""
    headers = [
        (b"content-type", reply.media_type.encode()),
        (b"content-length", b"%d" % len(reply.body)),
        (b"connection", b"close"),
    ]
    return b"".join((*head(reply.status, headers), b"\r\n", reply.body))


class Cycle(Direct):
    """One request and its response.

    Args:
        wire: The connection.
        scope: ASGI's.
        keep_alive: Whether the connection stays open afterwards.
        expects: Whether the client waits for a word before it sends the body.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_expects",
        "_has_body",
        "_is_told",
        "_left",
        "_news",
        "disconnected",
        "done",
        "is_whole",
        "keep_alive",
        "pending",
        "scope",
        "started",
        "task",
        "wire",
    )

    def __init__(self, wire: Wire, scope: Scope, *, keep_alive: bool, expects: bool) -> None:
        self.wire = wire
        self.scope = scope
        self.keep_alive = keep_alive
        self.pending = 0
        """Bytes of the body that nobody has taken yet."""
        self.is_whole = False
        """Whether the body was read to its end."""
        self.task: asyncio.Task[None] | None = None
        self.disconnected = self.started = self.done = False
        self._expects = expects
        self._body: list[bytes] = []
        self._is_told = False
        self._news: asyncio.Event | None = None
        self._chunked = False
        self._has_body = True
        self._left = 0

    def feed(self, data: bytes) -> None:
        """A part of the body came."""
        self._body.append(data)
        self.pending += len(data)
        if self._news is not None:
            self._news.set()

    def end(self) -> None:
        """The body is whole."""
        self.is_whole = True
        if self._news is not None:
            self._news.set()

    def notify(self) -> None:
        """Wake whoever waits for a message."""
        if self._news is not None:
            self._news.set()

    async def run(self, app: ASGIApp, running: set[asyncio.Task[None]]) -> None:
        """Have the application answer.

        Args:
            app: It.
            running: The tasks that answer; :attr:`task`, which is this one's, leaves them at last.
        """
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            # The server's end, after the time that requests get to finish.
            logger.error("%s %s was cancelled.", self.scope["method"], self.scope["path"])
            await self._give_up()
        except BaseException:
            logger.exception("Exception in ASGI application")
            await self._give_up()
        else:
            if not self.done and not self.disconnected:
                logger.error("The ASGI application returned before its response was complete.")
                await self._give_up()
        finally:
            if self.task is not None:
                running.discard(self.task)
                self.task = None

    async def _give_up(self) -> None:
        if self.started and not self.done:
            self.wire.transport.close()
        elif not self.started:
            await self.send({"type": "http.response.start", "status": 500, "headers": _ERROR})
            await self.send({"type": "http.response.body", "body": b"Internal Server Error"})

    async def receive(self) -> Message:
        """ASGI's channel to read from."""
        if self._expects and not self.started and not self.wire.transport.is_closing():
            self.wire.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects = False
        while not (self.disconnected or self.done):
            if self._body or (self.is_whole and not self._is_told):
                return {
                    "type": "http.request",
                    "body": self._take(),
                    "more_body": not self.is_whole,
                }
            self.wire.resume_reading()
            if self._news is None:
                self._news = asyncio.Event()
            self._news.clear()
            await self._news.wait()
        return {"type": "http.disconnect"}

    def whole_body(self) -> bytes | None:
        """The request's body if all of it is here and nobody took any; else None."""
        is_all = self.is_whole and not self._is_told and not self.disconnected
        return self._take() if is_all else None

    def _take(self) -> bytes:
        body = b"".join(self._body)
        self._body.clear()
        self.pending = 0
        self._is_told = self.is_whole
        return body

    @property
    def is_held_up(self) -> bool:
        """Whether the client does not read what was written."""
        return self.wire.writable is not None

    def respond(self, status: int, fields: bytes, length: int, body: bytes) -> None:
        """Write a whole response at once; its fields are right, and none is ``connection``."""
        self.started = True
        self._give_up_body()
        if self.disconnected:
            return
        end = b"" if self.keep_alive else b"connection: close\r\n"
        if status in _BODYLESS:
            body = b""
        else:
            end += b"content-length: %d\r\n" % length
        line = status_line(status)
        self.wire.transport.write(b"%b%b%b\r\n%b" % (line, fields, end, body))
        self.finish()

    async def send(self, message: Message) -> None:
        """ASGI's channel to write to.

        Raises:
            RuntimeError: The message does not fit those before it.
            ValueError: A header holds what none may.
        """
        while self.wire.writable is not None and not self.disconnected:
            await self.wire.writable.wait()
        if self.disconnected:
            return
        kind = message["type"]
        if kind != ("http.response.body" if self.started else "http.response.start") or self.done:
            raise RuntimeError(f"Unexpected ASGI message {kind!r}.")
        if self.started:
            self._send_body(message.get("body", b""), message.get("more_body", False))
        else:
            self._send_head(message["status"], [*message.get("headers", ())])

    def _give_up_body(self) -> None:
        """End the connection where the client, which was not told, may send the body or not."""
        if self._expects and not (self.is_whole or self._body):
            self.keep_alive = False

    def _send_head(self, status: int, headers: list[Header]) -> None:
        check_headers(headers)
        if status in _BODYLESS:
            headers = _without_length(headers)
        length: int | None = None
        self._give_up_body()
        is_last = not self.keep_alive
        for name, value in headers:
            lowered = name.lower()
            if lowered == b"content-length":
                length = int(value)
            elif lowered == b"transfer-encoding" and value.lower() == b"chunked":
                self._chunked = True
            elif lowered == b"connection" and b"close" in value.lower():
                self.keep_alive = is_last = False
        self.started = True
        lines = head(status, headers)
        self._has_body = self.scope["method"] != "HEAD" and status not in _BODYLESS
        if length is None and not self._chunked and self._has_body:
            if self.scope["http_version"] == "1.0":
                self.keep_alive, is_last = False, True  # its end is the connection's
            else:
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
        if is_last:
            lines.append(b"connection: close\r\n")
        self._left = -1 if length is None else length
        lines.append(b"\r\n")
        self.wire.transport.write(b"".join(lines))

    def _send_body(self, body: bytes, more: bool) -> None:
        if self._has_body:
            if self._chunked:
                body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
                body += b"" if more else b"0\r\n\r\n"
            elif self._left >= 0:
                self._left -= len(body)
                if self._left < 0 or (self._left and not more):
                    raise RuntimeError("The response is not as long as its Content-Length.")
            self.wire.transport.write(body)
        if not more:
            self.finish()

    def finish(self) -> None:
        """The response was written to its end, by whomever."""
        self.done = True
        if self._news is not None:
            self._news.set()
        if not self.keep_alive:
            self.wire.transport.close()
        self.wire.answered()


def _without_length(headers: Iterable[Header]) -> list[Header]:
    return [each for each in headers if each[0].lower() not in LENGTHS]
