"""The headers of a request and its answer, as they pass through the platform."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from bentofn.adapters.local import cors
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.journal.request_ids import (
    BENTOML_REQUEST_ID,
    FORWARDED_REQUEST_ID,
    REQUEST_ID,
)
from bentofn.adapters.local.tasks import TASK
from bentofn.adapters.local.tickets import Assignment
from bentofn.adapters.url import Cors

BATCH_SIZE = "X-Bentofn-Batch-Size"
BATCH_SECONDS = "X-Bentofn-Batch-Seconds"
"""Header of an instance's answer: seconds that a request waited for its batch, and that it took."""

START = "X-Bentofn-Start"
INSTANCE = "X-Bentofn-Instance"

_SECONDS = re.compile(r"(\d{1,9}\.\d{6}) (\d{1,9}\.\d{6})")

# RFC 9110 §7.6.1, with the old names that are still sent; Expect was answered here.
_HOP_BY_HOP = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "  # noqa: SIM905
    "trailers transfer-encoding upgrade expect".split()
)


def request_headers(request: web.BaseRequest, function: str, record: Record) -> CIMultiDict[str]:
    """What an instance is sent.

    Args:
        request: The caller's request.
        function: The function's name.
        record: The request's.
    """
    headers = _end_to_end(request.headers)
    for name in ("Content-Length", TASK, BENTOML_REQUEST_ID):
        headers.popall(name, None)
    headers[REQUEST_ID] = headers[FORWARDED_REQUEST_ID] = record.request_id
    if trace := record.trace_headers():
        headers.update(trace)
    peer = request.remote or "127.0.0.1"
    before = headers.get("X-Forwarded-For")
    headers["X-Forwarded-For"] = f"{before}, {peer}" if before else peer
    headers["X-Forwarded-Proto"] = "http"
    headers["X-Forwarded-Host"] = request.host
    headers["X-Forwarded-Prefix"] = f"/{function}"
    return headers


def response_headers(
    theirs: CIMultiDict[str],
    request_id: str,
    assignment: Assignment,
    allowed: Cors | None,
    origin: str | None,
) -> CIMultiDict[str]:
    """What a caller is sent.

    Args:
        theirs: The instance's headers.
        request_id: The request's.
        assignment: Where it was answered.
        allowed: Who may read the answer, where the function's URL says.
        origin: The caller's.
    """
    headers = _end_to_end(theirs)
    if allowed:
        for name in [each for each in headers if each.lower().startswith(cors.PREFIX)]:
            headers.popall(name, None)
        headers.update(cors.response_headers(allowed, origin))
    headers[REQUEST_ID] = request_id
    headers[START] = assignment.start
    headers[INSTANCE] = assignment.instance
    return headers


def take_batch_seconds(record: Record, headers: Mapping[str, str]) -> None:
    """Take what an instance says of a batch's times, which it does if it was asked to."""
    said = _SECONDS.fullmatch(headers.get(BATCH_SECONDS, ""))
    if said is not None:
        record.batch_waited, record.batch_took = float(said[1]), float(said[2])


def _end_to_end(headers: CIMultiDict[str] | CIMultiDictProxy[str]) -> CIMultiDict[str]:
    named = _names(headers.getall("Connection", []))
    return CIMultiDict(
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _HOP_BY_HOP and name.lower() not in named
    )


def _names(values: Iterable[str]) -> set[str]:
    return {name.strip().lower() for value in values for name in value.split(",")}
