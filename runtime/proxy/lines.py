"""Connections to a service in another process, of threads that wait and of event loops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

from bentofn.runtime.proxy.conversation import Conversation, Head

Message = list[bytes | memoryview]

UNREAD = (BrokenPipeError, ConnectionResetError)
"""What Linux says of an AF_UNIX socket whose other end was closed before all was read from it; such
a request may be sent again. One that was read may have been run, and its end is an EOFError.
Source: net/unix/af_unix.c, unix_release_sock."""

BROKEN = (EOFError, OSError, asyncio.TimeoutError)
"""What ends a connection in the middle of a request or an answer."""

_READ = 1 << 18
"""Bytes to read at once."""


class BlockingLine:
    """A connection that a thread waits for.

    Args:
        path: The service's AF_UNIX socket.
        timeout: Seconds without a byte after which it fails.

    Raises:
        OSError: Nobody listens there.
    """

    def __init__(self, path: str, timeout: float) -> None:
        self.talk = Conversation()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except BaseException:
            self._socket.close()
            raise

    def ask(self, method: str, path: str, headers: dict[str, str], body: Message) -> Head:
        """Send a request; returns when the answer's head is there."""
        for piece in self.talk.ask(method, path, headers, body):
            self._socket.sendall(piece)
        while True:
            for event in self.talk.events():
                assert isinstance(event, Head)
                return event
            self.talk.hear(self._socket.recv(_READ))

    def read(self) -> Iterator[bytes]:
        """The answer's body."""
        while True:
            for event in self.talk.events():
                if event is None:
                    return
                assert isinstance(event, bytes)
                yield event
            self.talk.hear(self._socket.recv(_READ))

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class AwaitingLine:
    """A connection of an event loop, made by :meth:`open`."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: socket.socket,
    ) -> None:
        self.talk = Conversation()
        self._reader, self._writer, self._socket = reader, writer, connection
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, path: str) -> AwaitingLine:
        """Connect the running loop.

        Raises:
            OSError: Nobody listens there.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, path)
            streams = await asyncio.open_unix_connection(sock=connection, limit=_READ)
        except BaseException:
            connection.close()
            raise
        return cls(*streams, connection)

    async def ask(self, method: str, path: str, headers: dict[str, str], body: Message) -> Head:
        """Send a request; returns when the answer's head is there."""
        self._writer.writelines(self.talk.ask(method, path, headers, body))
        await self._writer.drain()
        while True:
            for event in self.talk.events():
                assert isinstance(event, Head)
                return event
            self.talk.hear(await self._reader.read(_READ))

    async def read(self) -> AsyncIterator[bytes]:
        """The answer's body."""
        while True:
            for event in self.talk.events():
                if event is None:
                    return
                assert isinstance(event, bytes)
                yield event
            self.talk.hear(await self._reader.read(_READ))

    def close(self) -> None:
        """Close it; any thread may."""
        if self._loop.is_running():
            with contextlib.suppress(RuntimeError):  # it has ended since
                self._loop.call_soon_threadsafe(self._writer.close)
            return
        if not self._loop.is_closed():
            self._writer.transport.abort()
        self._socket.close()  # what the loop would do as it runs
