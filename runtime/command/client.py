"""Sends requests to a server of this machine over HTTP/1.1, and streams both bodies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import h11

from bentofn.runtime.http.exchange import Header

_IDLE_LIMIT = 2.0
"""Seconds that an idle connection is used again: fewer than servers keep it (uvicorn 5)."""

_CHUNK = 64 * 1024
"""Bytes read at a time."""


class UpstreamError(Exception):
    """The server cannot be reached, or breaks off its answer."""


class Connection:
    """One connection, for one request after the other.

    Args:
        reader: Its incoming half.
        writer: Its outgoing half.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)
        self._idle_since = 0.0

    async def send(
        self, method: str, target: bytes, headers: Sequence[Header], body: AsyncIterator[bytes]
    ) -> h11.Response:
        """Send a request and read the head of its response.

        Args:
            method: The HTTP method.
            target: Path and query.
            headers: The headers, which say how the body is framed.
            body: The body's pieces.

        Raises:
            UpstreamError: The server does not answer, or not by HTTP.
        """
        try:
            request = h11.Request(method=method, target=target, headers=list(headers))
            await self._write(request)
            async for piece in body:
                await self._write(h11.Data(data=piece))
            await self._write(h11.EndOfMessage())
            while not isinstance(event := await self._next(), h11.Response):
                if isinstance(event, h11.ConnectionClosed):
                    raise UpstreamError("it closed the connection")
            return event
        except (OSError, h11.ProtocolError) as error:
            raise UpstreamError(str(error)) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """The response's body.

        Raises:
            UpstreamError: It ends too early.
        """
        try:
            while isinstance(event := await self._next(), h11.Data):
                yield bytes(event.data)
        except (OSError, h11.ProtocolError) as error:
            raise UpstreamError(str(error)) from error

    def reset(self) -> bool:
        """Get ready for the next request; False if the connection cannot take one."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self._idle_since = time.monotonic()
        return True

    @property
    def is_fresh(self) -> bool:
        """Whether an idle connection is likely to be open still."""
        is_young = time.monotonic() - self._idle_since < _IDLE_LIMIT
        return is_young and not self._reader.at_eof()

    def close(self) -> None:
        """Close it."""
        self._writer.close()

    async def _write(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def _next(self) -> h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_CHUNK))
        if not isinstance(event, h11.Event):
            raise UpstreamError("it answered before it had read the request")
        return event


class Upstream:
    """A server on a port of this machine.

    Args:
        port: The port.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self._idle: list[Connection] = []

    async def connect(self) -> Connection:
        """A connection that is idle, or a new one.

        Raises:
            UpstreamError: Nothing listens.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.is_fresh:
                return connection
            connection.close()
        try:
            return Connection(*await asyncio.open_connection("127.0.0.1", self.port))
        except OSError as error:
            raise UpstreamError(str(error)) from error

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose answer was read to its end, and close any other."""
        if connection.reset():
            self._idle.append(connection)
        else:
            connection.close()

    async def listens(self) -> bool:
        """Whether a server takes connections."""
        try:
            (await self.connect()).close()
        except UpstreamError:
            return False
        return True

    async def status_of(self, path: str) -> int:
        """The status that a path is answered with.

        Raises:
            UpstreamError: It is not answered.
        """
        connection = await self.connect()
        try:
            response = await connection.send("GET", path.encode(), [self.host], _nothing())
            async for _ in connection.chunks():
                pass
            return response.status_code
        finally:
            self.give_back(connection)

    @property
    def host(self) -> Header:
        """The Host header."""
        return b"host", f"127.0.0.1:{self.port}".encode()

    def close(self) -> None:
        """Close all connections that are idle."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()


async def _nothing() -> AsyncIterator[bytes]:
    for piece in tuple[bytes, ...]():
        yield piece
