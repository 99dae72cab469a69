"""Websockets through the platform: message by message between a caller and an instance."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web
from multidict import CIMultiDict, CIMultiDictProxy

from bentofn.adapters.local.exchange import Exchange
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.headers import INSTANCE, START, request_headers
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.journal.request_ids import REQUEST_ID, request_id_of
from bentofn.adapters.local.replies import error_response
from bentofn.adapters.local.tickets import Assignment, Refused
from bentofn.adapters.url import Cors

_HANDSHAKE = (
    b"sec-websocket-key",
    b"sec-websocket-version",
    b"sec-websocket-extensions",
    b"sec-websocket-protocol",
)
"""Headers of the caller's own handshake (RFC 6455, section 4.1); the instance gets others."""

_NOT_SENT = (1005, 1006, 1015)
"""Codes that no endpoint may send. Source: RFC 6455, section 7.4.1."""


async def answer(
    request: web.BaseRequest, function: Function, path: str, message_limit: int
) -> web.StreamResponse:
    """Connect a caller that asks for a websocket with an instance.

    Args:
        request: The caller's request.
        function: A deployed function.
        path: Path and query that the function's service sees.
        message_limit: Bytes that a message may hold.
    """
    record = Record(
        function.journal,
        function.name,
        request_id_of(request.headers),
        request.method,
        path.partition("?")[0],
        0,
        request.headers,
    )
    conversation = _Conversation(request, function, path, message_limit, record)
    url = function.deployment.spec.settings.url if function.deployment else None
    try:
        if not may_open(request.headers, request.host, url.cors if url else None):
            raise Refused(403, "The function's URL allows no page of this origin (url.cors).")
        await conversation.run()
    except Refused as refusal:
        conversation.refuse(refusal)
    finally:
        record.close()
    assert conversation.response is not None
    return conversation.response


class _Conversation(Exchange):
    """A request for a websocket, and that.

    Args:
        request: The caller's request.
        function: A deployed function.
        path: Path and query that the function's service sees.
        message_limit: Bytes that a message may hold.
        record: The request's in the journal.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        function: Function,
        path: str,
        message_limit: int,
        record: Record,
    ) -> None:
        super().__init__(function, record)
        self.response: web.StreamResponse | None = None
        self._request = request
        self._path = path
        self._message_limit = message_limit

    async def transfer(self, assignment: Assignment) -> None:
        """See :class:`Exchange`."""
        request, limit = self._request, self._message_limit
        try:
            instance = await assignment.upstream.open_websocket(
                self._path, self._headers(), _offered_protocols(request.headers), limit
            )
        except aiohttp.WSServerHandshakeError as error:
            self.count()
            raise Refused(
                error.status if error.status >= 400 else 400,
                f"The function takes no websocket at this path (it answered {error.status}).",
            ) from None
        self.count()
        async with instance:
            chosen = (instance.protocol,) if instance.protocol else ()
            caller = web.WebSocketResponse(protocols=chosen, max_msg_size=limit)
            self._sign(caller, assignment)
            await caller.prepare(request)
            self.response = caller
            await relay(caller, instance)
            self.record.answered(caller.status)

    async def cut(self, assignment: Assignment, refusal: Refused) -> None:
        """See :class:`Exchange`."""
        self.record.answered(refusal.status)
        if self.response is None:
            self._sign(self.refuse(refusal), assignment)
        elif self._request.transport is not None:
            self._request.transport.abort()

    def refuse(self, refusal: Refused) -> web.StreamResponse:
        """Answer with the platform's refusal, which is the connection's last word."""
        self.record.refused(refusal.status, refusal.reason)
        self.response = error_response(refusal.status, refusal.reason)
        self.response.headers[REQUEST_ID] = self.record.request_id
        self.response.force_close()
        return self.response

    def _sign(self, response: web.StreamResponse, assignment: Assignment) -> None:
        response.headers[REQUEST_ID] = self.record.request_id
        response.headers[START] = assignment.start
        response.headers[INSTANCE] = assignment.instance

    def _headers(self) -> CIMultiDict[str]:
        """What the instance is sent, without the caller's own handshake."""
        theirs = [(name.lower(), value) for name, value in self._request.raw_headers]
        peer, name = self._request.remote or "127.0.0.1", self.function.name
        return CIMultiDict(
            (name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))
            for name, value in request_headers(theirs, peer, name, self.record)
            if name not in _HANDSHAKE
        )


def may_open(headers: CIMultiDictProxy[str], host: str, allowed: Cors | None) -> bool:
    """Whether a websocket is no page's of another site that the function's URL does not allow.

    Browsers open one to anywhere, and leave it to the server to look at its ``Origin``.
    Source: https://www.rfc-editor.org/rfc/rfc6455#section-10.2

    Args:
        headers: The caller's.
        host: Its ``Host``.
        allowed: The URL's rules; None leaves it to the service, as for any other request.
    """
    origin = headers.get("Origin")
    if origin is None or allowed is None or "*" in allowed.origins:
        return True
    return origin in allowed.origins or origin.partition("://")[2] == host


def _offered_protocols(headers: CIMultiDictProxy[str]) -> list[str]:
    """The subprotocols that the caller speaks."""
    offers = headers.getall("Sec-WebSocket-Protocol", [])
    return [name.strip() for offer in offers for name in offer.split(",") if name.strip()]


async def relay(
    caller: web.WebSocketResponse, instance: aiohttp.ClientWebSocketResponse[bool]
) -> None:
    """Pass messages on in both directions until one side closes; then the other is closed too."""
    there = asyncio.create_task(_pass_on(caller, instance))
    back = asyncio.create_task(_pass_on(instance, caller))
    try:
        await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (there, back):
            task.cancel()
        await asyncio.gather(there, back, return_exceptions=True)
        await asyncio.gather(
            caller.close(code=_sendable(instance.close_code)),
            instance.close(code=_sendable(caller.close_code)),
        )


async def _pass_on(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse[bool],
    sink: web.WebSocketResponse | aiohttp.ClientWebSocketResponse[bool],
) -> None:
    async for message in source:
        if message.type is WSMsgType.TEXT:
            await sink.send_str(message.data)
        elif message.type is WSMsgType.BINARY:
            await sink.send_bytes(message.data)


def _sendable(code: int | None) -> int:
    """The code to close one side with after the other closed with a code; None if it did not."""
    if code is None:
        return WSCloseCode.GOING_AWAY
    return WSCloseCode.INTERNAL_ERROR if code in _NOT_SENT else code
