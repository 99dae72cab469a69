"""HTTP/1.1 with an instance over one connection, one request at a time."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import cast

import aiohttp
import httptools

from bentofn.runtime.http.exchange import LENGTHS, Header

_MOST_UNREAD = 1 << 18
"""Bytes of an answer that nobody has taken, from which on no more is read."""

_LONGEST_HEAD = 1 << 20
"""Bytes before the end of an answer's headers; what awslambdaric sends at most in one of them."""

_NO_BODY = (204, 304)
"""Statuses whose answers have no body (RFC 9110, section 6.4.1)."""


class Answer:
    """An instance's answer, whose body may still be coming.

    Args:
        status: HTTP's.
        headers: Its headers, their names in lower case.
    """

    def __init__(self, status: int, headers: list[Header]) -> None:
        self.status = status
        self.headers = headers
        self._first = dict(reversed(headers))
        self.is_whole = False
        """Whether all of the body is here."""
        self._chunks: deque[bytes] = deque()
        self._unread = 0
        self._error: Exception | None = None
        self._news: asyncio.Event | None = None
        self._resume: Callable[[], None] | None = None
        self._release: Callable[[], None] | None = None

    def header(self, name: bytes) -> bytes:
        """A header's value; empty if there is none."""
        return self._first.get(name, b"")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises:
            aiohttp.ClientError: The instance broke off.
        """
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._unread -= len(chunk)
                yield chunk
            if self.is_whole:
                self.close()
                return
            if self._error is not None:
                raise self._error
            if self._resume is not None:
                self._resume()
            self._news = asyncio.Event()
            await self._news.wait()

    async def read(self) -> bytes:
        """The whole body; raises as :meth:`chunks` does."""
        return b"".join([chunk async for chunk in self.chunks()])

    def take(self) -> bytes:
        """What is here of the body."""
        taken = b"".join(self._chunks)
        self._chunks.clear()
        self._unread = 0
        if self.is_whole:
            self.close()
        return taken

    def close(self) -> None:
        """Let the connection be used for another request, or end it if this one goes on."""
        if self._release is not None:
            self._release()
            self._release = None

    async def __aenter__(self) -> Answer:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def feed(self, chunk: bytes) -> bool:
        """A part of the body came; returns whether that is enough for now."""
        self._chunks.append(chunk)
        self._unread += len(chunk)
        self._tell()
        return self._unread > _MOST_UNREAD

    def end(self, error: Exception | None = None) -> None:
        """No more comes."""
        self.is_whole = error is None
        self._error = error
        self._tell()

    def _tell(self) -> None:
        if self._news is not None:
            self._news.set()

    def attach(self, resume: Callable[[], None], release: Callable[[], None]) -> None:
        """Say how more is read, and what is to happen at its end."""
        self._resume, self._release = resume, release


class InstanceConnection(asyncio.Protocol):
    """A connection to an instance.

    Args:
        freed: Told when it may be used again.
    """

    def __init__(self, freed: Callable[[InstanceConnection], None]) -> None:
        self._freed = freed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Answer] | None = None
        self._answer: Answer | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._former: httptools.HttpResponseParser | None = None
        """The parser of the answer before, which can read another."""
        self._is_paused = self._is_head = self._keeps = False
        self._head = 0

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    async def request(self, data: bytes, *, is_head: bool) -> Answer:
        """Send a request; returns when the answer's headers are there.

        Args:
            data: All of it.
            is_head: Whether its method is HEAD, whose answer has no body.

        Raises:
            aiohttp.ClientError: The connection ended before.
        """
        if self._transport is None or self._transport.is_closing():
            raise aiohttp.ServerDisconnectedError
        self._answered = self._loop.create_future()
        self._parser = self._former or httptools.HttpResponseParser(self)
        self._is_head = is_head
        self._answer = None
        self._head = 0
        self._begin()
        self._transport.write(data)
        try:
            return await self._answered
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: it is open."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio's: it has ended."""
        self._transport = self._former = None
        answer, waiting = self._answer, self._answered
        if waiting is not None and not waiting.done():
            waiting.set_exception(_broken(error))
        elif answer is not None and not answer.is_whole:
            lasts = any(answer.header(name) for name in LENGTHS)
            answer.end(_broken(error) if lasts or error is not None else None)

    def data_received(self, data: bytes) -> None:
        """asyncio's: some bytes came."""
        if self._parser is None:  # nobody has asked for anything
            self.close()
            return
        if self._answer is None:
            self._head += len(data)
            if self._head > _LONGEST_HEAD:
                self._end_wrongly(f"a head of more than {_LONGEST_HEAD} bytes")
                return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._end_wrongly(f"no HTTP: {error}")

    def _end_wrongly(self, what: str) -> None:
        wrong = aiohttp.ClientPayloadError(what)
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(wrong)
        elif self._answer is not None and not self._answer.is_whole:
            self._answer.end(wrong)
        self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's: a header, or a trailer, which is dropped."""
        if self._answer is None:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The parser's: the body, if any, follows."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:
            self._begin()
            return
        answer = Answer(status, self._headers)
        answer.attach(self._resume, self._release)
        self._answer = answer
        if self._is_head or status in _NO_BODY:
            self._end()
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(answer)

    def on_body(self, chunk: bytes) -> None:
        """The parser's: a part of the body."""
        answer = self._answer
        if answer is None or answer.is_whole or self._transport is None:
            return
        if answer.feed(chunk) and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """The parser's: the answer is whole."""
        if self._answer is not None and not self._answer.is_whole:
            self._end()

    def _begin(self) -> None:
        self._headers: list[Header] = []
        self._keeps = False

    def _end(self) -> None:
        assert self._answer is not None
        assert self._parser is not None
        self._keeps = self._parser.should_keep_alive()
        self._answer.end()

    def _resume(self) -> None:
        if self._is_paused and self._transport is not None:
            self._is_paused = False
            self._transport.resume_reading()

    def _release(self) -> None:
        answer, self._answer = self._answer, None
        # After HEAD's it would wait for a body.
        self._former = None if self._is_head else self._parser
        self._answered = self._parser = None
        if answer is not None and answer.is_whole and self._keeps and self.is_open:
            self._resume()
            self._freed(self)
        else:
            self.close()


def _broken(error: Exception | None) -> aiohttp.ClientError:
    if isinstance(error, OSError):
        return aiohttp.ClientOSError(error.errno, error.strerror)
    return aiohttp.ServerDisconnectedError()
