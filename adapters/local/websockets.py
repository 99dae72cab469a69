"""Websockets through the platform: message by message between a caller and an instance."""

from __future__ import annotations

import asyncio

import aiohttp
from aiohttp import WSCloseCode, WSMsgType, web
from multidict import CIMultiDict, CIMultiDictProxy

from bentofn.adapters.url import Cors

_HANDSHAKE = (
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Sec-WebSocket-Extensions",
    "Sec-WebSocket-Protocol",
)
"""Headers of the caller's own handshake (RFC 6455, section 4.1); the instance gets others."""

_NOT_SENT = (1005, 1006, 1015)
"""Codes that no endpoint may send. Source: RFC 6455, section 7.4.1."""


def is_websocket(request: web.BaseRequest) -> bool:
    """Whether a request asks for a websocket."""
    return (
        request.method == "GET"
        and request.headers.get("Upgrade", "").lower() == "websocket"
        and "upgrade" in request.headers.get("Connection", "").lower()
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


def without_handshake(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """Headers of a caller's request, without those of its handshake."""
    for name in _HANDSHAKE:
        headers.popall(name, None)
    return headers


def offered_protocols(headers: CIMultiDictProxy[str]) -> list[str]:
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
