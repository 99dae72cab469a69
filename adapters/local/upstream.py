"""The platform's connections to one instance."""

from __future__ import annotations

import asyncio
import errno
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from bentofn.adapters.local.instance_connection import Answer, InstanceConnection
from bentofn.runtime.http.exchange import Header

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
_WITH_BODY = ("POST", "PUT", "PATCH")
"""Methods whose requests say the length of their body even if it is empty (RFC 9110, 8.6)."""

_GONE = (errno.ECONNREFUSED, errno.ENOENT)
"""What Linux says of an AF_UNIX socket at which nobody listens."""

_KEEP = 15.0
"""Seconds after which an idle connection is not used again. Instances close theirs after five times
as many (:data:`bentofn.runtime.http.serving.KEEP_ALIVE`): no request is sent on one that a healthy
instance is just closing."""

_ONE_PIECE = 16 << 10
"""Bytes of a request that is written at once and is one piece to the kernel (which makes pieces of
32 KiB and more for AF_UNIX), so that it was read as a whole or not at all."""

_UNREAD = (errno.ECONNRESET, errno.EPIPE)
"""What Linux says of an AF_UNIX socket whose other end was closed before all was read from it, and
of one that was closed before it was written to. Source: net/unix/af_unix.c, unix_release_sock."""


class Unreachable(Exception):  # noqa: N818 - a state of the instance
    """The instance has ended and has not read the request, which may be sent to another.

    Any method may be: the request was never applied (RFC 9110, section 9.2.2).
    """


class Upstream:
    """Sends requests to an instance over its socket, on connections that are kept.

    Args:
        socket_path: The instance's AF_UNIX socket.
        clock: Seconds.
    """

    def __init__(self, socket_path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = str(socket_path)
        self._clock = clock
        self._idle: list[tuple[InstanceConnection, float]] = []
        """The free connections, and since when; the latest last."""
        self._open: weakref.WeakSet[InstanceConnection] = weakref.WeakSet()
        self._websockets: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(
        self, method: str, path: str, headers: CIMultiDict[str] | Mapping[str, str], body: bytes
    ) -> Answer:
        """Send a request; returns when the answer's headers are there.

        Args:
            method: The HTTP method.
            path: Path and query as they came, escapes and all.
            headers: The headers.
            body: The whole body.

        Raises:
            Unreachable: The instance has ended without reading the request.
            aiohttp.ClientError: The instance did not answer, and may have read it.
            ValueError: The request holds a line break where none may be.
        """
        fields = [(name.encode("latin-1"), _encoded(value)) for name, value in headers.items()]
        if "Host" not in headers:
            fields.append((b"host", b"instance"))
        return await self.forward(method, path, fields, body)

    async def forward(
        self, method: str, path: str, headers: Sequence[Header], body: bytes
    ) -> Answer:
        """Send a request, as :meth:`send` does, with headers that are bytes already, and whole."""
        if self._closed:
            raise Unreachable  # it ended between the choice and the sending
        data = _written(method, path, headers, body)
        connection = self._take() or await self._connect()
        try:
            return await connection.request(data, is_head=method == "HEAD")
        except aiohttp.ClientOSError as error:
            if error.errno in _UNREAD and len(data) <= _ONE_PIECE:
                raise Unreachable from error
            raise

    def _take(self) -> InstanceConnection | None:
        while self._idle:
            connection, since = self._idle.pop()
            if connection.is_open and self._clock() - since < _KEEP:
                return connection
            connection.close()
        return None

    def _keep(self, connection: InstanceConnection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append((connection, self._clock()))

    async def _connect(self) -> InstanceConnection:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(
                lambda: InstanceConnection(self._keep), self._path
            )
        except OSError as error:
            if error.errno in _GONE:
                raise Unreachable from error
            raise aiohttp.ClientOSError(error.errno, error.strerror) from error
        self._open.add(connection)
        return connection

    async def open_websocket(
        self,
        path: str,
        headers: CIMultiDict[str] | Mapping[str, str],
        protocols: Sequence[str],
        message_limit: int,
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        """Open a websocket.

        Args:
            path: Path and query as they came.
            headers: The headers, without those of a handshake.
            protocols: Subprotocols to choose from.
            message_limit: Bytes of a message of the instance.

        Raises:
            Unreachable: The instance has ended.
            aiohttp.WSServerHandshakeError: The instance takes none there.
            aiohttp.ClientError: The instance did not answer.
        """
        if self._closed:
            raise Unreachable
        if self._websockets is None:
            self._websockets = aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(self._path, limit=0),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_NO_TIMEOUT,
                skip_auto_headers=("User-Agent",),
            )
        try:
            return await self._websockets.ws_connect(
                URL(f"http://instance{path}", encoded=True),
                headers=headers,
                protocols=protocols,
                max_msg_size=message_limit,
            )
        except aiohttp.ClientConnectorError as error:
            if error.os_error.errno in _GONE:
                raise Unreachable from error
            raise

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        for connection in list(self._open):
            connection.close()
        self._idle.clear()
        if self._websockets is not None:
            await self._websockets.close()


def _written(method: str, path: str, headers: Sequence[Header], body: bytes) -> bytes:
    """A request as it is sent."""
    lines = [b"%b %b HTTP/1.1" % (method.encode(), _encoded(path))]
    lines += [b"%b: %b" % each for each in headers]
    if body or method in _WITH_BODY:
        lines.append(b"content-length: %d" % len(body))
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
        raise ValueError("the request's head holds a line break where none may be")
    return b"%b\r\n\r\n%b" % (head, body)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
