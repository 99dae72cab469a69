"""The Runtime API on a port of its own: HTTP in, calls out.

Our own because the clients of the Runtime API ask for what common servers do not give: headers of
a megabyte, in which awslambdaric sends a traceback, and a content type that is one word.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from http import HTTPStatus
from typing import Protocol, cast

import httptools

from bentofn.adapters.local.console.guard import is_local
from bentofn.adapters.local.lambda_.invocation import MAX_PAYLOAD
from bentofn.adapters.local.lambda_.messages import Call, Reply

HOST = "127.0.0.1"
MAX_HEAD = 2 << 20
"""Bytes of a request's line and headers; awslambdaric sends up to 1 MiB in one."""
MAX_STREAM = 200 * 1024 * 1024
"""Bytes of a streamed answer. Source:
https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html"""

_BACKLOG = 64
_BROWSERS = frozenset(("origin", "sec-fetch-site"))
"""Headers that browsers send and runtimes do not: no web page is to take an invocation, nor one
whose name was made to lead here, for which browsers send neither."""


class Listener(Protocol):
    """Hears what comes over the wire."""

    def began(self, call: Call) -> bool:
        """A call has its head; whether its body is to be told of in pieces, and not kept."""

    def wrote(self, number: int, piece: bytes) -> None:
        """A piece of such a body has come."""

    def called(self, call: Call) -> None:
        """A call is here; it is answered with :meth:`RuntimeServer.reply`."""

    def hung_up(self, number: int) -> None:
        """The connection of a call has ended before its reply."""


class RuntimeServer:
    """Listens for one runtime.

    Args:
        listener: Hears it.
    """

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Connection] = {}
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.address = ""

    async def open(self) -> None:
        """Listen on a free port; ``address`` is ``host:port`` from then on."""
        loop = asyncio.get_running_loop()
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.bind((HOST, 0))
            self._server = await loop.create_server(
                lambda: _Connection(self), sock=listener, backlog=_BACKLOG
            )
        except BaseException:
            listener.close()
            raise
        self.address = f"{HOST}:{listener.getsockname()[1]}"

    def reply(self, reply: Reply) -> None:
        """Answer a call, unless its connection is gone."""
        connection = self._waiting.pop(reply.call, None)
        if connection is not None:
            connection.send(reply)

    async def close(self) -> None:
        """Close the port and all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()

    def opened(self, connection: _Connection) -> None:
        """A connection begins."""
        self._connections.add(connection)

    def began(self, request: _Request) -> bool:
        """A request has its head, and a number from now on; see :meth:`Listener.began`."""
        request.number = next(self._numbers)
        return self.listener.began(request.call(complete=False))

    def received(self, connection: _Connection, request: _Request, *, complete: bool) -> None:
        """A request has come."""
        self._waiting[request.number] = connection
        self.listener.called(request.call(complete=complete))

    def hold(self, number: int, holds: bool) -> None:
        """Read no more of a call that is told of in pieces, or go on."""
        for connection in self._connections:
            connection.hold(number, holds)

    def ended(self, connection: _Connection, waiting: int) -> None:
        """A connection has ended; ``waiting`` is the call that it was to be answered, or 0."""
        self._connections.discard(connection)
        if self._waiting.pop(waiting, None) is not None:
            self.listener.hung_up(waiting)


class _Request:
    """A request while it comes in."""

    def __init__(self) -> None:
        self.number = 0
        self.method = ""
        self.url = b""
        self.head = self.trailing = 0
        self.headers: dict[str, str] = {}
        self.trailers: dict[str, str] = {}
        self.body = bytearray()
        self.size = 0
        self.limit = MAX_PAYLOAD
        self.in_pieces = False

    def call(self, *, complete: bool) -> Call:
        """What has come so far."""
        return Call(
            self.number,
            self.method,
            self.url.partition(b"?")[0].decode("latin-1"),
            self.headers,
            bytes(self.body),
            self.size,
            self.limit,
            complete,
            self.trailers,
        )

    def take(self, data: bytes) -> None:
        """Keep a part of the body, of which nothing is kept once it is too large."""
        self.size += len(data)
        if self.size <= self.limit:
            self.body += data
        else:
            self.body.clear()


class _Connection(asyncio.Protocol):
    """One connection of the runtime: one request after the other."""

    def __init__(self, server: RuntimeServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._request: _Request | None = None
        self._in_body = False
        self._waiting = 0
        self._last = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.ended(self, self._waiting)

    def data_received(self, data: bytes) -> None:
        if self._request is not None and not self._in_body:
            self._request.head += len(data)
            if self._request.head > MAX_HEAD:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
                return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._refuse(HTTPStatus.BAD_REQUEST)

    def eof_received(self) -> bool:
        """It says no more. What it has said half is a truncated request, and is answered as one."""
        if self._request is None or not self._in_body:
            return False
        self._last = True
        self._complete(complete=False)
        return True

    def on_message_begin(self) -> None:
        if self._waiting:
            self.abort()  # it has not waited for the answer to what it said before
            return
        self._request = _Request()
        self._in_body = False

    def on_url(self, url: bytes) -> None:
        if self._request is not None:
            self._request.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._request
        if request is None:
            return
        if self._in_body:
            request.trailing += len(name) + len(value)
            if request.trailing > MAX_HEAD:
                raise ValueError("more trailers than a runtime sends")
        found = request.trailers if self._in_body else request.headers
        found[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")

    def on_headers_complete(self) -> None:
        request = self._request
        if request is None:
            return
        request.method = self._parser.get_method().decode("latin-1")
        self._in_body = True
        if _is_a_runtimes(request) and self._server.began(request):
            request.in_pieces = True
            request.limit = MAX_STREAM
        if request.headers.get("expect", "").lower() == "100-continue" and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        request = self._request
        if request is None:
            return
        if not request.in_pieces:
            request.take(body)
            return
        request.size += len(body)
        if request.size <= request.limit:
            self._server.listener.wrote(request.number, body)

    def on_message_complete(self) -> None:
        if self._request is not None:
            self._complete(complete=True)

    def send(self, reply: Reply) -> None:
        """Answer the request that waits."""
        self._waiting = 0
        if self._transport is not None and not self._transport.is_closing():
            # One segment: of two, the second waits for the first to be acknowledged.
            self._transport.write(_head(reply) + reply.body)
            if self._last:
                self._transport.close()

    def hold(self, number: int, holds: bool) -> None:
        """Read no more for a while, if this is what comes here."""
        transport, request = self._transport, self._request
        if transport is None or transport.is_closing() or request is None:
            return
        if request.number == number and transport.is_reading() == holds:
            (transport.pause_reading if holds else transport.resume_reading)()

    def abort(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _complete(self, *, complete: bool) -> None:
        request, self._request = self._request, None
        assert request is not None
        if not _is_a_runtimes(request):
            self._refuse(HTTPStatus.FORBIDDEN)
            return
        self._waiting = request.number
        self._server.received(self, request, complete=complete)

    def _refuse(self, status: HTTPStatus) -> None:
        self._request = None
        if self._transport is not None:
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Length: 0\r\n"
            self._transport.write(f"{head}Connection: close\r\n\r\n".encode())
            self._transport.close()


def _is_a_runtimes(request: _Request) -> bool:
    host = request.headers.get("host", HOST)
    return _BROWSERS.isdisjoint(request.headers) and is_local(host)


def _head(reply: Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}".encode()]
    lines += [name.encode() + b": " + value for name, value in reply.headers]
    lines.append(b"Content-Length: %d" % len(reply.body))
    return b"\r\n".join(lines) + b"\r\n\r\n"
