"""HTTP/1.1 on one connection: uvicorn's place for it, with less to do for each request.

uvicorn listens, counts, stops and speaks websockets. Requests that an :class:`Exchange` answers as
a whole need neither ASGI's messages nor a timer of their own; all others go ASGI's way.
"""

from __future__ import annotations

import asyncio
import logging
import urllib.parse
from collections import deque
from typing import Any, cast

import httptools
import uvicorn
from uvicorn.server import ServerState

from bentofn.runtime.http.cycle import Cycle, head
from bentofn.runtime.http.exchange import Header, Reply, json_reply, text_reply

logger = logging.getLogger("bentofn.server")

MAX_HEAD = 64 * 1024
"""Bytes of a request's line and headers; the number of h11, uvicorn's other parser."""

_LIMIT = f"The request's line and headers are larger than {MAX_HEAD} bytes; send less of them."
_TOO_LARGE = json_reply(431, {"error": _LIMIT})
_INVALID = text_reply(400, "Invalid HTTP request received.")

_SEPARATORS = 4
"""Bytes of a header beside its name and its value: a colon, a space and a line's end."""

_MOST_UNREAD = 1 << 16
"""Bytes of a body that are kept before anybody takes them."""


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        config: uvicorn's.
        server_state: Its connections and tasks.
        app_state: What the application's start-up left for its requests.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.transport: asyncio.Transport
        self.writable: asyncio.Event | None = None
        self._config = config
        self._app: Any = config.loaded_app
        self._server = server_state
        self._state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        if hasattr(self._parser, "set_dangerous_leniencies"):  # httptools before 0.6.3 has none
            # What follows a request that ends the connection is no error of that request.
            self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._url = b""
        self._headers: list[Header] = []
        self._expects = False
        self._in_head = False
        self._is_between = self._begins = True
        """Whether a request is next, and whether this read began with one."""
        self._now = self._before = self._surplus = 0
        """Bytes of this read, and of the head's reads before it: up to so many are not its own."""
        self._cycle: Cycle | None = None
        """The request that is read, or was read last."""
        self._unanswered: deque[Cycle] = deque()
        """The request that is answered now, and those that wait for it."""
        self._is_paused = False
        self._idle_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: it is open."""
        self._server.connections.add(cast(Any, self))
        self.transport = cast(asyncio.Transport, transport)
        self._local = _address(transport, "sockname")
        self._remote = _address(transport, "peername")
        self._scheme = "https" if transport.get_extra_info("sslcontext") else "http"

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: it is closed."""
        self._server.connections.discard(cast(Any, self))
        if self._timer is not None:
            self._timer.cancel()
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.notify()
        self.resume_writing()
        # What refers to itself would stay until the collector looks at what is old.
        self._unanswered.clear()
        self._cycle = self._timer = self._parser = None

    def eof_received(self) -> None:
        """asyncio's: the client sends no more, and so has left."""

    def data_received(self, data: bytes) -> None:
        """asyncio's: some bytes came."""
        self._now, self._begins = len(data), self._is_between
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if self._speaks_websocket():
                self._become_websocket()
            else:
                logger.warning("Unsupported upgrade request.")
        except httptools.HttpParserError:
            if self._in_head or not self._is_too_large():
                logger.warning("Invalid HTTP request received.")
                self._refuse(_INVALID)
            else:
                self._refuse(_TOO_LARGE)
        else:
            if self._in_head:
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

    def on_url(self, url: bytes) -> None:
        """The parser's: a part of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's: one header."""
        name = name.lower()
        if name == b"expect" and value.lower() == b"100-continue":
            self._expects = True
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The parser's: the body, if any, follows."""
        self._in_head = False
        if self._is_too_large():
            raise ValueError("the head is too large")  # which ends the parser
        parser = self._parser
        if parser.should_upgrade() and self._speaks_websocket():
            return
        version = parser.get_http_version()
        url = httptools.parse_url(self._url)
        path = url.path.decode("ascii")
        scope = {
            "type": "http",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self._local,
            "client": self._remote,
            "scheme": self._scheme,
            "root_path": self._config.root_path,
            "headers": self._headers,
            "state": self._state.copy(),
            "method": parser.get_method().decode("ascii"),
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": url.path,
            "query_string": url.query or b"",
        }
        keep_alive = version != "1.0" and parser.should_keep_alive()
        cycle = Cycle(self, scope, keep_alive=keep_alive, expects=self._expects)
        self._cycle = cycle
        self._unanswered.append(cycle)
        if len(self._unanswered) == 1:
            self._start(cycle)
        else:
            self._pause_reading()

    def on_body(self, body: bytes) -> None:
        """The parser's: a part of the body."""
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
        self._server.total_requests += 1
        if self.transport.is_closing():
            return
        self._unanswered.popleft()
        self.resume_reading()
        if self._unanswered:
            self._start(self._unanswered[0])
        else:
            self._idle_since = self._loop.time()
            if self._timer is None:
                self._close_when_idle()

    def shutdown(self) -> None:
        """uvicorn's: close, once what was asked for is answered."""
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
        """Read on, if reading was paused and no request waits that was read already."""
        if self._is_paused and len(self._unanswered) <= 1 and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()

    def _pause_reading(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def _start(self, cycle: Cycle) -> None:
        task = self._loop.create_task(cycle.run(self._app))
        tasks = self._server.tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _close_when_idle(self) -> None:
        """Close an idle connection in time: one timer for all of its requests."""
        is_idle = not self._unanswered
        end = self._idle_since + self._config.timeout_keep_alive
        if is_idle and self._loop.time() >= end:
            self.transport.close()
        else:
            later = end - self._loop.time() if is_idle else self._config.timeout_keep_alive
            self._timer = self._loop.call_later(later, self._close_when_idle)

    def _is_too_large(self) -> bool:
        if self._before + self._now <= MAX_HEAD:
            return False
        fields = sum(len(name) + len(value) + _SEPARATORS for name, value in self._headers)
        return len(self._url) + fields > MAX_HEAD

    def _speaks_websocket(self) -> bool:
        headers = dict(self._headers)
        tokens = [each.strip() for each in headers.get(b"connection", b"").lower().split(b",")]
        is_asked = b"upgrade" in tokens and headers.get(b"upgrade", b"").lower() == b"websocket"
        return is_asked and self._config.ws_protocol_class is not None

    def _become_websocket(self) -> None:
        self._server.connections.discard(cast(Any, self))
        if self._timer is not None:
            self._timer.cancel()
        lines = [b"%b %b HTTP/1.1\r\n" % (self._parser.get_method(), self._url)]
        lines += [b"%b: %b\r\n" % header for header in self._headers]
        protocol: Any = self._config.ws_protocol_class
        made = protocol(config=self._config, server_state=self._server, app_state=self._state)
        made.connection_made(self.transport)
        made.data_received(b"".join((*lines, b"\r\n")))
        self.transport.set_protocol(made)

    def _refuse(self, reply: Reply) -> None:
        headers = [
            (b"content-type", reply.media_type.encode()),
            (b"content-length", b"%d" % len(reply.body)),
            (b"connection", b"close"),
        ]
        self.transport.write(b"".join((*head(reply.status, headers), b"\r\n", reply.body)))
        self.transport.close()


def _address(transport: asyncio.BaseTransport, name: str) -> tuple[str, int | None] | None:
    """One end of a connection, as ASGI tells it."""
    found = transport.get_extra_info(name)
    if isinstance(found, tuple):
        return str(found[0]), int(found[1])
    return (found, None) if isinstance(found, str) and found and name == "sockname" else None
