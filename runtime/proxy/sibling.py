"""A dependency in another process of the same bento."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from bentofn.runtime.context import answers_example
from bentofn.runtime.errors import BentoMLException, ServiceUnavailable
from bentofn.runtime.proxy import wire
from bentofn.runtime.proxy.addresses import EXAMPLE_HEADER, Addresses
from bentofn.runtime.proxy.arguments import Parameters
from bentofn.runtime.proxy.base import CLIENT_URL, find_method
from bentofn.runtime.proxy.conversation import Head, result_of
from bentofn.runtime.proxy.lines import BROKEN, UNREAD, AwaitingLine, BlockingLine, Message
from bentofn.runtime.proxy.outgoing import own_headers

if TYPE_CHECKING:
    import httpx

    from bentofn.runtime.client.base import HTTPClient
    from bentofn.runtime.service import Service

_TIMEOUT = 60.0
"""Seconds; BentoML's default of ``traffic.timeout``."""

_PATIENCE = 300.0
"""Seconds that a caller waits beyond what the service may take: it may have to start first. The
service itself, and the caller's own deadline, end a call earlier."""

_ATTEMPTS = 3
"""Connections that a request is sent on when those before were closed without reading it; only the
first may be one that was kept."""


_Line = TypeVar("_Line", BlockingLine, AwaitingLine)


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
        self._parameters: dict[str, Parameters] = {}
        self._idle: list[BlockingLine] = []
        self._idle_async: dict[asyncio.AbstractEventLoop, list[AwaitingLine]] = {}

    def call(self, name: str, args: Any, kwargs: Any) -> Any:
        """The result; of a stream, an iterator."""
        path, body, is_stream = self._request(name, args, kwargs)
        return self._stream(path, body) if is_stream else self._ask(path, body)

    def call_async(self, name: str, args: Any, kwargs: Any) -> Any:
        """What gives the result when it is awaited; of a stream, an asynchronous iterator."""
        path, body, is_stream = self._request(name, args, kwargs)
        return self._stream_async(path, body) if is_stream else self._ask_async(path, body)

    def _request(self, name: str, args: Any, kwargs: Any) -> tuple[str, Message, bool]:
        """A call's path and body, and whether its result is a stream."""
        method = find_method(self._service, name)
        if name not in self._parameters:
            self._parameters[name] = Parameters.of(method)
        taken = self._parameters[name]
        path = self._service.path_prefix + method.route
        return path, wire.pack(taken.by_name(args, kwargs)), taken.is_stream

    def _ask(self, path: str, body: Message) -> Any:
        line, head = self._send("POST", path, body)
        with _closing(line, self._idle):
            return result_of(self._service.name, head, b"".join(self._read(line)))

    def _stream(self, path: str, body: Message) -> Iterator[Any]:
        line, head = self._send("POST", path, body)
        with _closing(line, self._idle):
            if head.media_type != wire.STREAM_TYPE:
                result_of(self._service.name, head, b"".join(self._read(line)))
            frames = wire.Frames()
            for data in self._read(line):
                yield from frames.feed(data)

    def _send(self, method: str, path: str, body: Message) -> tuple[BlockingLine, Head]:
        """Send a request; returns when the answer's head is there."""
        for attempt in range(_ATTEMPTS):
            line = self._open() if attempt else self._line()
            try:
                return line, line.ask(method, path, _headers(), body)
            except UNREAD:
                line.close()
                _close_all(self._idle)  # they are of the process that has ended
            except BROKEN as error:
                line.close()
                raise self._explained(error) from error
            except BaseException:
                line.close()
                raise
        raise self._gone()

    def _read(self, line: BlockingLine) -> Iterator[bytes]:
        try:
            yield from line.read()
        except BROKEN as error:
            raise self._explained(error) from error

    def _line(self) -> BlockingLine:
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        return self._open()

    def _open(self) -> BlockingLine:
        try:
            return BlockingLine(self._address(), self._timeout)
        except OSError as error:
            raise self._gone() from error

    async def _ask_async(self, path: str, body: Message) -> Any:
        line, head = await self._send_async("POST", path, body)
        with _closing(line, self._kept()):
            data = b"".join([each async for each in self._read_async(line)])
            return result_of(self._service.name, head, data)

    async def _stream_async(self, path: str, body: Message) -> AsyncIterator[Any]:
        line, head = await self._send_async("POST", path, body)
        with _closing(line, self._kept()):
            if head.media_type != wire.STREAM_TYPE:
                data = b"".join([each async for each in self._read_async(line)])
                result_of(self._service.name, head, data)
            frames = wire.Frames()
            async for data in self._read_async(line):
                for item in frames.feed(data):
                    yield item

    async def _send_async(self, method: str, path: str, body: Message) -> tuple[AwaitingLine, Head]:
        kept = self._kept()
        for attempt in range(_ATTEMPTS):
            line = await self._open_async() if attempt or not kept else kept.pop()
            try:
                asked = line.ask(method, path, _headers(), body)
                return line, await asyncio.wait_for(asked, self._timeout)
            except UNREAD:
                line.close()
                _close_all(kept)
            except BROKEN as error:
                line.close()
                raise self._explained(error) from error
            except BaseException:
                line.close()
                raise
        raise self._gone()

    async def _read_async(self, line: AwaitingLine) -> AsyncIterator[bytes]:
        try:
            async for data in line.read():
                yield data
        except BROKEN as error:
            raise self._explained(error) from error

    async def _open_async(self) -> AwaitingLine:
        try:
            return await AwaitingLine.open(self._address())
        except OSError as error:
            raise self._gone() from error

    def _kept(self) -> list[AwaitingLine]:
        """The connections that the running loop keeps; those of ended loops are closed."""
        # A list: other threads' loops keep connections meanwhile.
        for ended in [loop for loop in list(self._idle_async) if loop.is_closed()]:
            _close_all(self._idle_async.pop(ended, []))
        return self._idle_async.setdefault(asyncio.get_running_loop(), [])

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
            with _closing(line, self._kept()):
                async for _ in self._read_async(line):
                    pass
        except (BentoMLException, asyncio.TimeoutError):
            return False
        return head.status == 200

    def client(self) -> httpx.Client:
        """An HTTP client for the service's routes; it finds the socket when it is first used."""
        from bentofn.runtime.proxy.http_clients import sync_client

        return sync_client(self.url, self._address, self._timeout)

    def async_client(self) -> httpx.AsyncClient:
        """An asynchronous one."""
        from bentofn.runtime.proxy.http_clients import async_client

        return async_client(self.url, self._address, self._timeout)

    def tasks(self, *, is_async: bool) -> HTTPClient:
        """A client that submits the service's tasks."""
        from bentofn.runtime.proxy import http_clients, tasks

        if is_async:
            way = http_clients.AsyncTransport(self._address)
            return tasks.AsyncTasks(self._service, self.url, way, self._timeout)
        return tasks.SyncTasks(
            self._service, self.url, http_clients.Transport(self._address), self._timeout
        )

    def close(self) -> None:
        """Close the connections that are kept."""
        _close_all(self._idle)
        while self._idle_async:
            _close_all(self._idle_async.popitem()[1])


def _close_all(lines: list[BlockingLine] | list[AwaitingLine]) -> None:
    with contextlib.suppress(IndexError):  # other threads take them too
        while True:
            lines.pop().close()


@contextlib.contextmanager
def _closing(line: _Line, kept: list[_Line]) -> Iterator[None]:
    """Close a connection at the end, or keep it where it takes another request.

    It is kept last: another thread may take it at once.
    """
    try:
        yield
        is_free = line.talk.again()
    except BaseException:
        line.close()
        raise
    if is_free:
        kept.append(line)
    else:
        line.close()


def _headers() -> dict[str, str]:
    headers = {"content-type": wire.MEDIA_TYPE, **own_headers()}
    return {**headers, EXAMPLE_HEADER: "1"} if answers_example() else headers
