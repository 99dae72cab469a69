"""HTTP/1.1 on one connection, whoever answers: what is read, in which order, and how much of it."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from typing import Any, cast

import httptools

from bentofn.runtime.http.cycle import Cycle, last
from bentofn.runtime.http.exchange import Header, Reply, Scope, json_reply, text_reply
from bentofn.runtime.http.heads import size, written

MAX_HEAD = 64 * 1024
"""Bytes of a request's line and headers; h11's number."""

_LIMIT = f"The request's line and headers are larger than {MAX_HEAD} bytes; send less of them."
_TOO_LARGE = json_reply(431, {"error": _LIMIT})
_INVALID = text_reply(400, "Invalid HTTP request received.")

_HOSTS = {"1.1": (1,), "1.0": (0, 1)}
"""How many Host headers a request has (RFC 9112, section 3.2)."""

_MOST_UNREAD = 1 << 16
"""Bytes of bodies that are kept before anybody takes them."""

_MOST_WAITING = 16
"""Requests that are read behind the one that is answered. Reading on is how it is noticed that a
client has left; one that sends without end is read as it is answered."""


class HttpProtocol(asyncio.Protocol):
    """One connection; who answers its requests is a subclass's affair.

    Args:
        keep_alive: Seconds that it may be idle.
    """

    def __init__(self, keep_alive: float, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.transport: asyncio.Transport
        self.writable: asyncio.Event | None = None
        self._loop = loop or asyncio.get_running_loop()
        self._keep_alive = keep_alive
        self._parser = self._new_parser()
        self._url = b""
        self._headers: list[Header] = []
        self._expects = False
        self._hosts = 0
        self._in_head = False
        self._is_between = self._begins = True
        """Whether a request is next, and whether this read began with one."""
        self._now = self._before = self._surplus = 0
        """Bytes of this read, and of those before it that were of the head, or of what is between
        and after a body's chunks: up to so many are of something else."""
        self._cycle: Cycle | None = None
        """The request that is read, or was read last."""
        self._unanswered: deque[Cycle] = deque()
        """The request that is answered now, and those that wait for it."""
        self._fault = _INVALID
        """What is wrong where the parser fails."""
        self._refusal: Reply | None = None
        """The last answer, to what cannot be read."""
        self._is_paused = False
        self._timer: asyncio.TimerHandle

    def scope(self, method: bytes, target: bytes, version: str, headers: list[Header]) -> Scope:
        """What is told of a request, as ASGI does.

        Raises:
            Exception: It is none.
        """
        raise NotImplementedError

    def start(self, cycle: Cycle) -> None:
        """Have a request answered; its body may still be coming."""
        raise NotImplementedError

    def refused(self, reply: Reply) -> None:
        """Something cannot be read, which is what the client is told."""

    def change(self, method: bytes, target: bytes, version: str, headers: list[Header]) -> bool:
        """Go on in the protocol that a request asks for; returns whether that is done.

        Where it is, the transport has another protocol from now on.
        """
        return False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: it is open."""
        self.transport = cast(asyncio.Transport, transport)
        self._context = contextvars.copy_context()
        self._idle_since = self._loop.time()
        self._close_when_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: it is closed."""
        self._timer.cancel()
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.notify()
        self.resume_writing()
        # What refers to itself would stay until the collector looks at what is old.
        self._unanswered.clear()
        self._cycle = self._parser = None

    def eof_received(self) -> None:
        """asyncio's: the client sends no more, and so has left."""

    def data_received(self, data: bytes) -> None:
        """asyncio's: some bytes came."""
        self._now, self._begins = len(data), self._is_between
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._go_on(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._fault)
        else:
            if not self._is_between:
                self._before += self._now
                if self._before - self._surplus > MAX_HEAD:
                    self._refuse(_TOO_LARGE)

    def on_message_begin(self) -> None:
        """The parser's: a request begins."""
        self._in_head, self._before = True, 0
        self._surplus = 0 if self._begins else self._now
        self._is_between = self._begins = False
        self._url = b""
        self._headers = []
        self._expects = False
        self._hosts = 0

    def on_url(self, url: bytes) -> None:
        """The parser's: a part of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's: one header, or a trailer, which is dropped."""
        if not self._in_head:
            return
        name = name.lower()
        if name == b"host":
            self._hosts += 1
        elif name == b"expect" and value.lower() == b"100-continue":
            self._expects = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The parser's: the body, if any, follows."""
        self._in_head = False
        if self._before + self._now > MAX_HEAD and self._is_too_large():
            self._fault = _TOO_LARGE
            raise ValueError("the head is too large")  # which ends the parser
        self._before, self._surplus = -self._now, 0
        parser = self._parser
        version, method = parser.get_http_version(), parser.get_method()
        if self._hosts not in _HOSTS.get(version, ()):
            raise ValueError("the version, or the number of Host headers")
        if parser.should_upgrade():
            if method == b"CONNECT" or self._unanswered:
                raise ValueError("no proxy, or requests before it are not answered yet")
            return
        scope = self.scope(method, self._url, version, self._headers)
        is_old = version == "1.0"
        keep_alive = not is_old and parser.should_keep_alive()
        cycle = Cycle(self, scope, keep_alive=keep_alive, expects=self._expects and not is_old)
        self._cycle = cycle
        self._unanswered.append(cycle)
        if len(self._unanswered) == 1:
            self.start(cycle)
        elif len(self._unanswered) > _MOST_WAITING:
            self._pause_reading()

    def on_body(self, body: bytes) -> None:
        """The parser's: a part of the body."""
        self._before = -self._now
        cycle = self._cycle
        if cycle is None or cycle.done:
            return
        cycle.feed(body)
        if cycle.pending > _MOST_UNREAD:
            self._pause_reading()

    def on_message_complete(self) -> None:
        """The parser's: the request is whole."""
        self._is_between = True
        if self._cycle is not None and not self._cycle.done:
            self._cycle.end()

    def answered(self) -> None:
        """A response was written to its end: the next request's turn."""
        self._unanswered.popleft()
        if self.transport.is_closing():
            return
        if self._unanswered:
            self._context.run(self.start, self._unanswered[0])  # not in that of the one before
        elif self._refusal is not None:
            self._write_last(self._refusal)
        else:
            self._idle_since = self._loop.time()
        if self._is_paused:
            self.resume_reading()

    def shutdown(self) -> None:
        """Close, once what was asked for is answered."""
        if self._unanswered:
            self._unanswered[-1].keep_alive = False
        else:
            self.transport.close()

    def pause_writing(self) -> None:
        """asyncio's: the client does not read what was written."""
        self.writable = asyncio.Event()

    def resume_writing(self) -> None:
        """asyncio's: it does again."""
        if self.writable is not None:
            self.writable.set()
            self.writable = None

    def resume_reading(self) -> None:
        """Read on, if reading was paused and little waits that was read already."""
        if not self._is_paused or self._refusal is not None or self.transport.is_closing():
            return
        unread = sum([cycle.pending for cycle in self._unanswered])
        if len(self._unanswered) <= _MOST_WAITING and unread <= _MOST_UNREAD:
            self._is_paused = False
            self.transport.resume_reading()

    def _pause_reading(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def _close_when_idle(self) -> None:
        """Close an idle connection in time: one timer for all of its requests."""
        idle = 0.0 if self._unanswered else self._loop.time() - self._idle_since
        left = self._keep_alive - idle
        if left > 0:
            self._timer = self._loop.call_later(left, self._close_when_idle)
        else:
            self.transport.close()

    def _is_too_large(self) -> bool:
        return size(self._url, self._headers) > MAX_HEAD

    def _go_on(self, rest: bytes) -> None:
        """Go on after a request to do so in another protocol; one that is not known is ignored."""
        method, version = self._parser.get_method(), self._parser.get_http_version()
        if self.change(method, self._url, version, self._headers):
            self._timer.cancel()
            return
        # The parser has left its body out: one is to read it as one that asks for no upgrade.
        self._parser = self._new_parser()
        headers = [each for each in self._headers if each[0] != b"upgrade"]
        self.data_received(written(method, self._url, version, headers) + rest)

    def _new_parser(self) -> Any:
        parser: Any = httptools.HttpRequestParser(self)
        if hasattr(parser, "set_dangerous_leniencies"):  # httptools before 0.6.3 has none
            # What follows a request that ends the connection is no error of that request.
            parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return parser

    def _refuse(self, reply: Reply) -> None:
        """Read no more, and say so once all is answered that was read."""
        self.refused(reply)
        self._refusal = reply
        self._pause_reading()
        if self._unanswered and not self._unanswered[-1].is_whole:  # the fault is in its body
            cycle = self._unanswered.pop()
            cycle.disconnected = True
            cycle.notify()
            if cycle.started:
                self.transport.close()
        if not self._unanswered:
            self._write_last(reply)

    def _write_last(self, reply: Reply) -> None:
        if not self.transport.is_closing():
            self.transport.write(last(reply))
            self.transport.close()
