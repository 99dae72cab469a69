"""One HTTP request and its response."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic_core import to_json

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.http.direct import direct
from bentofn.runtime.http.request_ids import system_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
Header = tuple[bytes, bytes]

CLIENT_CLOSED_REQUEST = 499
"""Status that stands in metrics for a client that left (nginx's number); it is never sent."""

_STARTS = {
    "http.response.start": 200,
    "websocket.accept": 101,
    "websocket.close": 403,
    "websocket.http.response.start": 200,
}
"""Messages that begin an answer, and the HTTP status of those that name none."""

REQUEST_ID_HEADERS = (b"x-bentofn-request-id", b"x-bentoml-request-id")
_COMMON = b"server: %b\r\n" + b"".join(b"%b: %%b\r\n" % name for name in REQUEST_ID_HEADERS)
"""The lines of the headers that every response carries."""

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_NO_NAME = re.compile(rb'[\x00-\x20\x7f()<>@,;:\\[\]={}"]')
_NO_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

LENGTHS = (b"transfer-encoding", b"content-length")
"""Headers that say where a body ends."""


class ClientLeftError(Exception):
    """The client closed the connection before it had sent its request."""


class Reply(NamedTuple):
    """A whole response.

    Args:
        status: HTTP status.
        body: The body.
        media_type: Value of Content-Type.
        headers: Further headers, names in lower case.
        fields: What :func:`plain_fields` makes of both, where that is known already.
    """

    status: int
    body: bytes
    media_type: str
    headers: tuple[Header, ...] = ()
    fields: bytes | None = None


def json_reply(status: int, content: Any) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, to_json(content), "application/json")


def text_reply(status: int, text: str, headers: tuple[Header, ...] = ()) -> Reply:
    """A reply with a plain text body."""
    return Reply(status, text.encode(), "text/plain; charset=utf-8", headers)


def check_headers(headers: Sequence[Header]) -> None:
    """Check a response's headers.

    Raises:
        ValueError: One holds a line break, which would let a value forge the response, or another
            character that RFC 9110, section 5, allows in none.
    """
    names, values = zip(*headers, strict=True) if headers else ((), ())
    if _NO_NAME.search(b"".join(names)) or _NO_VALUE.search(b"".join(values)):
        wrong = [
            name for name, value in headers if _NO_NAME.search(name) or _NO_VALUE.search(value)
        ]
        raise ValueError(f"the response header {wrong[0]!r} holds what no header may")


def plain_fields(media_type: str, headers: Iterable[Header] = ()) -> bytes | None:
    """The lines of a whole response's own headers but its length.

    Returns:
        None where the headers say something about the connection.

    Raises:
        ValueError: As :func:`check_headers`.
    """
    others = [each for each in headers if each[0].lower() not in LENGTHS]
    fields = [(b"content-type", media_type.encode("latin-1")), *others]
    check_headers(fields)
    if any(name.lower() == b"connection" for name, _ in others):
        return None
    return b"".join([b"%b: %b\r\n" % each for each in fields])


def handshake(scope: Scope, send: Send) -> Send:
    """A websocket's channel on which an HTTP response refuses the connection.

    Where the server cannot send one (ASGI's extension ``websocket.http.response``), it closes.
    """
    can_respond = "websocket.http.response" in scope.get("extensions", {})

    async def refuse(message: Message) -> None:
        if not message["type"].startswith("http."):
            await send(message)
        elif can_respond:
            await send({**message, "type": f"websocket.{message['type']}"})
        elif message["type"] == "http.response.start":
            await send({"type": "websocket.close", "code": 1000})

    return refuse


class Exchange:
    """One HTTP request and its response.

    Args:
        scope: The ASGI scope.
        receive: The ASGI channel to read from.
        send: The ASGI channel to write to.
        server: Value of the response's Server header.
        new_id: Names a request that has no name.
        max_body: Bytes that the request's body may hold; may be lowered until it is read.
    """

    __slots__ = (
        "_direct",
        "_id",
        "_length",
        "_receive",
        "_received",
        "_send",
        "_server",
        "content_type",
        "max_body",
        "on_start",
        "request_id",
        "scope",
        "status",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        server: bytes,
        new_id: Callable[[], bytes] = system_id,
        max_body: float = math.inf,
    ) -> None:
        self.scope = scope
        self.content_type = ""
        self.status = 0
        self.on_start: Callable[[], None] | None = None
        self.max_body = max_body
        self._length = self._received = 0
        self._receive = receive
        self._send = send
        self._direct = direct(receive, send)
        request_id = b""
        for name, value in scope["headers"]:
            if name == b"content-type":
                self.content_type = value.decode("latin-1")
            elif name == b"content-length" and value.isdigit():
                self._length = int(value)
            elif name in REQUEST_ID_HEADERS and _REQUEST_ID.fullmatch(value):
                request_id = value
        self._server = server
        self._id = request_id or new_id()
        self.request_id = self._id.decode()

    @property
    def started(self) -> bool:
        """Whether the response's headers were sent."""
        return self.status != 0

    async def send(self, message: Message) -> None:
        """Send an ASGI message, adding the headers that every response carries.

        Raises:
            ValueError: A header holds what none may (:func:`check_headers`), or the status is no
                number that can end a request.
        """
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ())]
            check_headers(headers)
            self._begin(message["status"])
            common = [(b"server", self._server), *((name, self._id) for name in REQUEST_ID_HEADERS)]
            message["headers"] = headers + common
        await self._send(message)

    def _begin(self, status: int) -> None:
        if not 200 <= status <= 999:
            raise ValueError(f"the response's status {status} is none")
        self.status = status
        if self.on_start is not None:
            self.on_start()

    async def relay(self, message: Message) -> None:
        """Send an ASGI message of an application that makes its own responses, as it is."""
        if not self.started and message["type"] in _STARTS:
            self.status = message.get("status") or _STARTS[message["type"]]
            if self.on_start is not None:
                self.on_start()
        await self._send(message)

    async def start(self, status: int, media_type: str, headers: Iterable[Header] = ()) -> None:
        """Send the response's head."""
        fields = [(b"content-type", media_type.encode("latin-1")), *headers]
        await self.send({"type": "http.response.start", "status": status, "headers": fields})

    async def reply(self, reply: Reply) -> None:
        """Send a whole response; its body is left out when the request is a HEAD.

        Raises:
            ValueError: As :meth:`send` does.
        """
        length = len(reply.body)
        body = b"" if self.scope.get("method") == "HEAD" else reply.body  # a websocket has none
        server = self._direct
        if server is not None and not server.is_held_up:
            fields = reply.fields or plain_fields(reply.media_type, reply.headers)
            if fields is not None:
                self._begin(reply.status)
                common = _COMMON % (self._server, self._id, self._id)
                server.respond(reply.status, fields + common, length, body)
                return
        others = [each for each in reply.headers if each[0].lower() not in LENGTHS]
        size = (b"content-length", b"%d" % length)
        await self.start(reply.status, reply.media_type, (size, *others))
        await self.send({"type": "http.response.body", "body": body})

    async def receive(self) -> Message:
        """Read an ASGI message."""
        return await self._receive()

    async def read(self) -> Message:
        """Read an ASGI message of the request's body.

        Raises:
            BentoMLException: The body is too large (413); what was read of it can be forgotten.
        """
        if self._length <= self.max_body:
            message = await self._receive()
            self._received += len(message.get("body", b""))
            if self._received <= self.max_body:
                return message
        raise self._too_large()

    def _too_large(self) -> BentoMLException:
        return BentoMLException(
            f"The body is larger than {self.max_body} bytes, which is the limit here.",
            error_code=HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )

    async def body(self) -> bytes:
        """Read the request's body.

        Raises:
            ClientLeftError: The client left before the end of it.
            BentoMLException: It is too large (413).
        """
        whole = None if self._direct is None else self._direct.whole_body()
        if whole is not None:
            if len(whole) > self.max_body:
                raise self._too_large()
            return whole
        chunks: list[bytes] = []
        while True:
            message = await self.read()
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            if not message.get("more_body", False):
                last: bytes = message.get("body", b"")
                return b"".join((*chunks, last)) if chunks else last
            chunks.append(message.get("body", b""))

    async def buffer(self) -> bytearray:
        """Read the request's body into memory that may be written.

        Raises:
            ClientLeftError: The client left before the end of it.
            BentoMLException: It is too large (413).
        """
        content = bytearray()
        while True:
            message = await self.read()
            if message["type"] == "http.disconnect":
                raise ClientLeftError
            content += message.get("body", b"")
            if not message.get("more_body", False):
                return content

    async def disconnected(self) -> None:
        """Return when the client has left."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def until_left(self) -> None:
        """Wait for the client to leave.

        Raises:
            ClientLeftError: It has.
        """
        await self.disconnected()
        raise ClientLeftError
