"""What a function returned as the answer of its URL: payload format 2.0, buffered or streamed.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload and
answers of the service (a string is sent as it is, any other value as compact JSON).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any

INTEGRATION = "application/vnd.awslambda.http-integration-response"
"""The content type of an answer that begins with its status and headers, in JSON."""
PRELUDE_END = b"\0" * 8

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
"""What a header may be called and hold: RFC 9110, section 5."""

_JSON = "application/json"
_OURS = frozenset(
    "connection content-length date keep-alive proxy-authenticate server te trailer "  # noqa: SIM905
    "transfer-encoding upgrade".split()
)
"""Headers that only the server itself may send; a function's are renamed."""


class NoAnswer(Exception):  # noqa: N818 - a state of an answer
    """A function's value is no HTTP response; the URL answers 502."""


@dataclass(frozen=True)
class Answer:
    """An HTTP response.

    Args:
        status: Its status.
        headers: Name and value, in order.
        body: The body.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def buffered(payload: bytes) -> Answer:
    """What a function's value stands for.

    Raises:
        NoAnswer: It has a ``statusCode``, and is no response nevertheless.
    """
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        return Answer(200, (("Content-Type", "application/octet-stream"),), payload)
    if isinstance(value, dict) and "statusCode" in value:
        return Answer(_status(value), _headers(value, _JSON), _body(value))
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return Answer(200, (("Content-Type", _JSON),), text.encode("utf-8", "surrogatepass"))


def streamed(payload: bytes, content_type: str) -> Answer:
    """What a function wrote where its URL streams: its bytes, after a prelude if it says so.

    Raises:
        NoAnswer: The prelude is none.
    """
    if content_type.partition(";")[0].strip().lower() != INTEGRATION:
        kind = content_type if content_type != _JSON else "application/octet-stream"
        return Answer(200, (("Content-Type", kind),), payload)
    head, found, body = payload.partition(PRELUDE_END)
    try:
        value = json.loads(head)
    except (ValueError, RecursionError) as error:
        raise NoAnswer("The prelude is not JSON.") from error
    if not found or not isinstance(value, dict):
        raise NoAnswer("The prelude has no end, or is no object.")
    return Answer(_status({"statusCode": 200, **value}), _headers(value, ""), body)


def _status(value: dict[str, Any]) -> int:
    try:
        status = int(value["statusCode"])
    except (TypeError, ValueError, OverflowError) as error:
        raise NoAnswer("statusCode is no number.") from error
    if not 200 <= status <= 599:
        raise NoAnswer("statusCode is none of HTTP's.")
    return status


def _headers(value: dict[str, Any], default_type: str) -> tuple[tuple[str, str], ...]:
    given, cookies = value.get("headers") or {}, value.get("cookies") or []
    if not isinstance(given, dict) or not isinstance(cookies, list):
        raise NoAnswer("headers is no object, or cookies no list.")
    headers: list[tuple[str, str]] = []
    for name, each in given.items():
        if isinstance(each, bool):
            each = str(each).lower()
        if not isinstance(each, str | int | float):
            raise NoAnswer(f"The header {name} is neither text nor a number.")
        if not _TOKEN.fullmatch(name):
            raise NoAnswer(f"{name!r} is no header's name.")
        sent = f"x-amzn-remapped-{name}" if name.lower() in _OURS else name
        headers.append((sent, _line(str(each))))
    if default_type and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", default_type))
    headers += [("Set-Cookie", _line(str(cookie))) for cookie in cookies]
    return tuple(headers)


def _line(value: str) -> str:
    if not _FIELD.fullmatch(value):
        raise NoAnswer("A header holds what no header may.")
    return value


def _body(value: dict[str, Any]) -> bytes:
    body = value.get("body")
    if body is None:
        return b""
    if not isinstance(body, str):
        return json.dumps(body, separators=(",", ":")).encode()
    if not value.get("isBase64Encoded"):
        return body.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoAnswer("body is not base64.") from error
