"""Bodies that the platform reads, and answers that it makes itself."""

from __future__ import annotations

import json

from aiohttp import web

from bentofn.adapters.local.tickets import Refused
from bentofn.runtime.http.exchange import Reply, json_reply


def error_response(status: int, sentence: str) -> web.Response:
    """The platform's own answer, in the shape of a service's error."""
    return web.Response(
        status=status,
        body=json.dumps({"error": sentence}).encode(),
        content_type="application/json",
    )


def refusal_reply(refusal: Refused) -> Reply:
    """A refusal in the backend's own words, where it has some for this."""
    reply = json_reply(refusal.status, {"error": refusal.reason})
    rule = refusal.overflow
    if rule is None:
        return reply
    if rule.answer:
        reply = Reply(refusal.status, rule.answer.encode(), rule.content_type)
    headers = [(name.encode(), value.encode()) for name, value in rule.headers.items()]
    return reply._replace(headers=tuple(headers))


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """Read a whole body.

    Raises:
        Refused: It holds more than ``limit`` bytes (413), or breaks HTTP's framing (400).
    """
    if not request.can_read_body:
        return b""
    too_large = Refused(413, f"The body is larger than {limit} bytes, the platform's limit.")
    if (request.content_length or 0) > limit:
        raise too_large
    body = bytearray()
    try:
        async for chunk in request.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise too_large
    except web.RequestPayloadError as error:
        raise Refused(400, "The body cannot be read: it is not framed as it says.") from error
    return bytes(body)
