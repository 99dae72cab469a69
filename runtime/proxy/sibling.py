"""A dependency in another process of the same bento."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import socket
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from bentofn.runtime.api import APIMethod
from bentofn.runtime.context import answers_example
from bentofn.runtime.errors import BentoMLException, ServiceUnavailable
from bentofn.runtime.proxy import wire
from bentofn.runtime.proxy.addresses import EXAMPLE_HEADER, HEADER, Addresses
from bentofn.runtime.proxy.base import CLIENT_URL, find_method
from bentofn.runtime.proxy.conversation import Conversation, Head, result_of

if TYPE_CHECKING:
    import httpx

    from bentofn.runtime.service import Service

_TIMEOUT = 60.0
"""Seconds; BentoML's default of ``traffic.timeout``."""

_PATIENCE = 300.0
"""Seconds that a caller waits beyond what the service may take: it may have to start first. The
service itself, and the caller's own deadline, end a call earlier."""

_READ = 1 << 18
"""Bytes to read at once."""

_ATTEMPTS = 3
"""Connections that a request is sent on when those before were closed without reading it."""

Message = list[bytes | memoryview]


class SiblingTransport:
    """Calls a service over its socket, on connections that are kept.

    Nothing is opened before the first call, and the address is read then.

    Args:
        service: The service.
    """

    url = CLIENT_URL

    def __init__(self, service: Service[Any]) -> None:
        self._service = service
        traffic = service.config.get("traffic", {})
        self._timeout: float = traffic.get("timeout", _TIMEOUT) + _PATIENCE
        self._idle: deque[_Blocking] = deque()
        self._idle_async: deque[_Awaiting] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(self, name: str, args: Any, kwargs: Any) -> Any:
        """The result; of a stream, an iterator."""
        method = find_method(self._service, name)
        path, body = self._path(method), _arguments(method, args, kwargs)
        return self._stream(path, body) if method.is_stream else self._ask(path, body)

    def call_async(self, name: str, args: Any, kwargs: Any) -> Any:
        """What gives the result when it is awaited; of a stream, an asynchronous iterator."""
        method = find_method(self._service, name)
        path, body = self._path(method), _arguments(method, args, kwargs)
        return self._stream_async(path, body) if method.is_stream else self._ask_async(path, body)

    def _path(self, method: APIMethod) -> str:
        return self._service.path_prefix + method.route

    def _ask(self, path: str, body: Message) -> Any:
        line, head = self._send("POST", path, body)
        with contextlib.closing(line):
            result = result_of(self._service.name, head, b"".join(self._read(line)))
            self._keep(line)
            return result

    def _stream(self, path: str, body: Message) -> Iterator[Any]:
        line, head = self._send("POST", path, body)
        with contextlib.closing(line):
            if head.media_type != wire.STREAM_TYPE:
                result_of(self._service.name, head, b"".join(self._read(line)))
            frames = wire.Frames()
            for data in self._read(line):
                yield from frames.feed(data)
            self._keep(line)

    def _send(self, method: str, path: str, body: Message) -> tuple[_Blocking, Head]:
        """Send a request; returns when the answer's head is there."""
        for _ in range(_ATTEMPTS):
            line = self._line()
            try:
                return line, line.ask(method, path, _headers(), body)
            except _UNREAD:
                line.close()
            except _BROKEN as error:
                line.close()
                raise self._explained(error) from error
            except BaseException:
                line.close()
                raise
        raise self._gone()

    def _read(self, line: _Blocking) -> Iterator[bytes]:
        try:
            yield from line.read()
        except _BROKEN as error:
            raise self._explained(error) from error

    def _line(self) -> _Blocking:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        try:
            return _Blocking(self._address(), self._timeout)
        except OSError as error:
            raise self._gone() from error

    def _keep(self, line: _Blocking) -> None:
        if line.again():
            self._idle.append(line)

    async def _ask_async(self, path: str, body: Message) -> Any:
        line, head = await self._send_async("POST", path, body)
        with contextlib.closing(line):
            data = b"".join([each async for each in self._read_async(line)])
            result = result_of(self._service.name, head, data)
            self._keep_async(line)
            return result

    async def _stream_async(self, path: str, body: Message) -> AsyncIterator[Any]:
        line, head = await self._send_async("POST", path, body)
        with contextlib.closing(line):
            if head.media_type != wire.STREAM_TYPE:
                data = b"".join([each async for each in self._read_async(line)])
                result_of(self._service.name, head, data)
            frames = wire.Frames()
            async for data in self._read_async(line):
                for item in frames.feed(data):
                    yield item
            self._keep_async(line)

    async def _send_async(self, method: str, path: str, body: Message) -> tuple[_Awaiting, Head]:
        for _ in range(_ATTEMPTS):
            line = await self._line_async()
            try:
                asked = line.ask(method, path, _headers(), body)
                return line, await asyncio.wait_for(asked, self._timeout)
            except _UNREAD:
                line.close()
            except _BROKEN as error:
                line.close()
                raise self._explained(error) from error
            except BaseException:
                line.close()
                raise
        raise self._gone()

    async def _read_async(self, line: _Awaiting) -> AsyncIterator[bytes]:
        try:
            async for data in line.read():
                yield data
        except _BROKEN as error:
            raise self._explained(error) from error

    async def _line_async(self) -> _Awaiting:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # Connections of another loop are of no use here, and that loop may have ended.
            self._loop, self._idle_async = loop, deque()
        with contextlib.suppress(IndexError):
            return self._idle_async.pop()
        try:
            return await _Awaiting.open(self._address())
        except OSError as error:
            raise self._gone() from error

    def _keep_async(self, line: _Awaiting) -> None:
        if asyncio.get_running_loop() is self._loop and line.again():
            self._idle_async.append(line)

    def _address(self) -> str:
        return Addresses.read().sockets[self._service.name]

    def _explained(self, error: Exception) -> BentoMLException:
        name = self._service.name
        if isinstance(error, (asyncio.TimeoutError, TimeoutError)):
            text = f"{name} did not answer in {self._timeout:g} seconds"
            return BentoMLException(text, error_code=504)
        return ServiceUnavailable(f"{name} ended while it answered")

    def _gone(self) -> ServiceUnavailable:
        return ServiceUnavailable(f"{self._service.name} takes no connections")

    async def is_ready(self, timeout: float) -> bool:
        """Whether its ``/readyz`` says so."""
        try:
            asked = self._send_async("GET", f"{self._service.path_prefix}/readyz", [])
            line, head = await asyncio.wait_for(asked, timeout)
        except (BentoMLException, asyncio.TimeoutError):
            return False
        with contextlib.closing(line):
            async for _ in line.read():
                pass
            self._keep_async(line)
        return head.status == 200

    def client(self) -> httpx.Client:
        """An HTTP client for the service's routes; it finds the socket when it is first used."""
        from bentofn.runtime.proxy.http_clients import sync_client

        return sync_client(self.url, self._address, self._timeout)

    def async_client(self) -> httpx.AsyncClient:
        """An asynchronous one."""
        from bentofn.runtime.proxy.http_clients import async_client

        return async_client(self.url, self._address, self._timeout)

    def close(self) -> None:
        """Close the connections that are kept."""
        while self._idle:
            self._idle.pop().close(even_if_kept=True)
        while self._idle_async:
            self._idle_async.pop().close(even_if_kept=True)


_UNREAD = (BrokenPipeError, ConnectionResetError)
"""What Linux says of an AF_UNIX socket whose other end was closed before all was read from it; such
a request may be sent again. Source: net/unix/af_unix.c, unix_release_sock."""

_BROKEN = (EOFError, OSError, asyncio.TimeoutError)


class _Line:
    """What both kinds of connections have in common."""

    def __init__(self) -> None:
        self.talk = Conversation()
        self._kept = False

    def again(self) -> bool:
        """Whether the connection can be kept for another request."""
        self._kept = self.talk.again()
        return self._kept


class _Blocking(_Line):
    """A connection that is waited for."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(path)
        except BaseException:
            self._socket.close()
            raise

    def ask(self, method: str, path: str, headers: dict[str, str], body: Message) -> Head:
        self._kept = False
        for piece in self.talk.ask(method, path, headers, body):
            self._socket.sendall(piece)
        while True:
            for event in self.talk.events():
                assert isinstance(event, Head)
                return event
            self.talk.hear(self._socket.recv(_READ))

    def read(self) -> Iterator[bytes]:
        while True:
            for event in self.talk.events():
                if event is None:
                    return
                assert isinstance(event, bytes)
                yield event
            self.talk.hear(self._socket.recv(_READ))

    def close(self, *, even_if_kept: bool = False) -> None:
        if even_if_kept or not self._kept:
            self._socket.close()


class _Awaiting(_Line):
    """A connection of an event loop."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        connection: socket.socket,
    ) -> None:
        super().__init__()
        self._reader, self._writer, self._socket = reader, writer, connection
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, path: str) -> _Awaiting:
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
        self._kept = False
        self._writer.writelines(self.talk.ask(method, path, headers, body))
        await self._writer.drain()
        while True:
            for event in self.talk.events():
                assert isinstance(event, Head)
                return event
            self.talk.hear(await self._reader.read(_READ))

    async def read(self) -> AsyncIterator[bytes]:
        while True:
            for event in self.talk.events():
                if event is None:
                    return
                assert isinstance(event, bytes)
                yield event
            self.talk.hear(await self._reader.read(_READ))

    def close(self, *, even_if_kept: bool = False) -> None:
        if self._loop.is_closed():
            self._socket.close()
        elif even_if_kept or not self._kept:
            self._writer.close()


def _headers() -> dict[str, str]:
    headers = {"content-type": wire.MEDIA_TYPE, HEADER: Addresses.read().secret}
    return {**headers, EXAMPLE_HEADER: "1"} if answers_example() else headers


def _arguments(method: APIMethod, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Message:
    """A call's arguments by name.

    Raises:
        TypeError: There are more than the method takes.
    """
    declared = list(inspect.signature(method.func).parameters.values())[1:]
    names = [each.name for each in declared if each.kind in _BY_PLACE and each.name not in _CONTEXT]
    if len(args) > len(names):
        raise TypeError(
            f"{method.location}() takes {len(names)} arguments but {len(args)} were given"
        )
    given = dict(zip(names, args, strict=False))
    twice = [name for name in kwargs if name in given]
    if twice:
        raise TypeError(f"{method.location}() got multiple values for argument {twice[0]!r}")
    return wire.pack({**given, **kwargs})


_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_CONTEXT = ("ctx", "context")
