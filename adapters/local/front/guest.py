"""aiohttp as a guest on a connection of the front's, which reads requests and passes them on.

The console, the control API and Lambda's are written for aiohttp. Its handler gets whole, well
framed requests, one at a time, writes its answers to the connection itself, and holds this in place
of the transport.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web
from aiohttp.http import HttpProcessingError

from bentofn.runtime.http.cycle import Cycle
from bentofn.runtime.http.heads import written

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_KEEP_ALIVE = 1e7
"""Seconds that a guest may have nothing to do: the connection's end is not for it to say."""


def guests(answer: Handler) -> web.Server:
    """What makes a handler for each connection.

    Args:
        answer: Answers all of their requests.
    """

    async def answer_whole(request: web.BaseRequest) -> web.StreamResponse:
        response = await answer(request)
        await response.prepare(request)
        await response.write_eof()
        guest = request.transport
        if isinstance(guest, Guest):
            guest.answered()
        return response

    # A body belongs to the service as it came, compressed or not.
    return web.Server(
        answer_whole,
        handler_cancellation=True,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=_KEEP_ALIVE,
        logger=_faults_of_ours(),
    )


def _faults_of_ours() -> logging.Logger:
    """A log without what callers do wrong, with which they could fill the disk."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_is_no_callers)
    return logger


def _is_no_callers(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


class Guest(asyncio.Transport):
    """One connection's.

    Args:
        server: From :func:`guests`.
        transport: The connection.
    """

    def __init__(self, server: web.Server, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport
        self._cycle: Cycle | None = None
        self._over: asyncio.Future[None] | None = None
        self._takes_more = asyncio.Event()
        self._takes_more.set()
        self._is_fed = self._is_closed = False
        self.handler = server()
        self.handler.connection_made(self)

    async def answer(self, cycle: Cycle) -> None:
        """Have a request answered."""
        loop = asyncio.get_running_loop()
        self._cycle, self._is_fed = cycle, False
        self._over = loop.create_future()
        feeding = loop.create_task(self._feed(cycle))
        try:
            await self._over
        finally:
            feeding.cancel()
            self._cycle = None
        if cycle.disconnected:
            return  # it was not to be read to its end
        if not self._is_fed:  # its handler is still in the midst of it
            cycle.keep_alive = False
        cycle.finish()

    async def _feed(self, cycle: Cycle) -> None:
        """Pass a request on as it comes."""
        scope = cycle.scope
        headers = [each for each in scope["headers"] if each[0] != b"expect"]
        target = scope["path"].encode("utf-8", "surrogateescape")
        head = written(scope["method"].encode(), target, scope["http_version"], headers)
        is_chunked = any(name == b"transfer-encoding" for name, _ in headers)
        self.handler.data_received(head)
        while True:
            message = await cycle.receive()
            if message["type"] != "http.request":
                return  # the connection ends, or the answer is there
            body: bytes = message["body"]
            if is_chunked:
                body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
                body += b"" if message["more_body"] else b"0\r\n\r\n"
            if body:
                self.handler.data_received(body)
            if not message["more_body"]:
                self._is_fed = True
                return
            await self._takes_more.wait()

    def answered(self) -> None:
        """The answer was written to its end."""
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    def leave(self, error: Exception | None) -> None:
        """The connection is the guest's no more."""
        self._is_closed = True
        self.handler.connection_lost(error)
        self.answered()  # as far as it ever will be

    def close(self) -> None:
        """asyncio's: the handler wants no more."""
        if not self._is_closed:
            self._is_closed = True
            self._transport.close()
            self.answered()

    def abort(self) -> None:
        """asyncio's: the same, at once."""
        if not self._is_closed:
            self._is_closed = True
            self._transport.abort()

    def is_closing(self) -> bool:
        """asyncio's."""
        return self._is_closed or self._transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """asyncio's."""
        if self._cycle is not None:
            self._cycle.started = True
        self._transport.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """asyncio's."""
        self.write(b"".join(list_of_data))

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """asyncio's."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """asyncio's: the handler has enough of a body."""
        self._takes_more.clear()

    def resume_reading(self) -> None:
        """asyncio's: it has not any more."""
        self._takes_more.set()
