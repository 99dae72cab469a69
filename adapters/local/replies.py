"""Bodies that the platform reads, and answers that it makes itself."""

from __future__ import annotations

import json

from aiohttp import web

from bentofn.adapters.local.tickets import Refused


def error_response(status: int, sentence: str) -> web.Response:
    """The platform's own answer, in the shape of a service's error."""
    return web.Response(
        status=status,
        body=json.dumps({"error": sentence}).encode(),
        content_type="application/json",
    )


def refusal_response(refusal: Refused) -> web.Response:
    """A refusal in the backend's own words, where it has some for this."""
    rule = refusal.overflow
    response = error_response(refusal.status, refusal.reason)
    if rule is None:
        return response
    if rule.answer:
        response.body = rule.answer.encode()
        response.headers["Content-Type"] = rule.content_type
    response.headers.update(rule.headers)
    return response


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
