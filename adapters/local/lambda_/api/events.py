"""A request to a function's URL as the event that the function gets: payload format 2.0.

Source: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads. Which
bodies come in base64, and that what is absent has no key, was taken from the service's own events.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qsl

from bentofn.adapters.local.lambda_.api.names import ACCOUNT

_NOT_PASSED = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_TEXT = ("text", "json", "xml", "javascript")


@dataclass(frozen=True)
class UrlRequest:
    """A request.

    Args:
        id: The request's id.
        method: The HTTP method.
        path: The path below the function's URL, as it came.
        query: The query string, as it came.
        headers: Name and value, in order.
        body: The body.
        host: Host and port that it was sent to.
        source: The caller's address.
        time: When it came, in seconds since the epoch.
        trace_id: The trace's header.
        function: The function's name, which is its URL's id here.
        access_key: Who signed it, where callers must sign.
    """

    id: str
    method: str
    path: str
    query: str
    headers: Iterable[tuple[str, str]]
    body: bytes
    host: str
    source: str
    time: float
    trace_id: str
    function: str
    access_key: str | None = None


def event_of(request: UrlRequest) -> dict[str, Any]:
    """The event."""
    headers = _headers(request)
    moment = datetime.fromtimestamp(request.time, timezone.utc)
    context: dict[str, Any] = {
        "accountId": ACCOUNT if request.access_key else "anonymous",
        "apiId": request.function,
        "domainName": request.host,
        "domainPrefix": request.function,
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": request.source,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request.id,
        "routeKey": "$default",
        "stage": "$default",
        "time": moment.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(request.time * 1000),
    }
    if request.access_key is not None:
        context["authorizer"] = {"iam": _caller(request.access_key)}
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": headers,
        "requestContext": context,
        "isBase64Encoded": False,
    }
    if "cookie" in headers:
        event["cookies"] = [each.strip() for each in headers["cookie"].split(";") if each.strip()]
    if request.query:
        event["queryStringParameters"] = _parameters(request.query)
    if request.body:
        text = _text(request.body, headers.get("content-type", ""))
        event["isBase64Encoded"] = text is None
        event["body"] = base64.b64encode(request.body).decode() if text is None else text
    return event


def _headers(request: UrlRequest) -> dict[str, str]:
    """Lower-case name to value; several values of a name are joined."""
    headers: dict[str, str] = {}
    for name, value in request.headers:
        key = name.lower()
        if key in _NOT_PASSED:
            continue
        between = "; " if key == "cookie" else ","
        headers[key] = f"{headers[key]}{between}{value}" if key in headers else value
    before = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{before}, {request.source}" if before else request.source
    headers["x-forwarded-proto"] = "http"
    headers["x-forwarded-port"] = request.host.rpartition(":")[2] if ":" in request.host else "80"
    headers["x-amzn-trace-id"] = request.trace_id
    return headers


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _text(body: bytes, content_type: str) -> str | None:
    """The body, if its type is text's and it is UTF-8."""
    kind = content_type.partition(";")[0].lower()
    if not any(each in kind for each in _TEXT):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _caller(access_key: str) -> dict[str, Any]:
    """Who signed the request: the one user that this platform knows."""
    return {
        "accessKey": access_key,
        "accountId": ACCOUNT,
        "callerId": access_key,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": f"arn:aws:iam::{ACCOUNT}:user/bentofn",
        "userId": access_key,
    }
