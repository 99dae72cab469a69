"""The headers of a request and its answer, as they pass through the platform."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from email.utils import formatdate
from functools import lru_cache

from bentofn.adapters.local import cors
from bentofn.adapters.local.front.request import encoded, replaced
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.journal.request_ids import (
    BENTOML_REQUEST_ID,
    FORWARDED_REQUEST_ID,
    REQUEST_ID,
)
from bentofn.adapters.local.tasks import TASK
from bentofn.adapters.local.tickets import Assignment
from bentofn.adapters.url import Cors
from bentofn.runtime.http.exchange import Header

BATCH_SIZE = "X-Bentofn-Batch-Size"
BATCH_SECONDS = "X-Bentofn-Batch-Seconds"
"""Header of an instance's answer: seconds that a request waited for its batch, and that it took."""

START = "X-Bentofn-Start"
INSTANCE = "X-Bentofn-Instance"

_SECONDS = re.compile(rb"(\d{1,9}\.\d{6}) (\d{1,9}\.\d{6})")

# RFC 9110 §7.6.1, with the old names that are still sent; Expect was answered here.
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    b"trailers transfer-encoding upgrade expect".split()
)
_ORDINARY = (b"keep-alive", b"close", b"")
"""Values of Connection that name no header."""


def _names(*names: str) -> frozenset[bytes]:
    return frozenset(name.lower().encode() for name in names)


_FOR = "X-Forwarded-For"
_SET = ("X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix")
_NOT_SENT = _HOP_BY_HOP | _names(
    "Content-Length", TASK, REQUEST_ID, FORWARDED_REQUEST_ID, BENTOML_REQUEST_ID, _FOR, *_SET
)
"""What an instance gets from nobody but the platform."""
_NOT_PASSED = _HOP_BY_HOP | _names("Content-Length", REQUEST_ID, START, INSTANCE)
"""What a caller gets from nobody but the platform."""


def request_headers(
    theirs: Sequence[Header], peer: str, function: str, record: Record
) -> list[Header]:
    """What an instance is sent.

    Args:
        theirs: The caller's headers, their names in lower case.
        peer: The caller's address.
        function: The function's name.
        record: The request's.
    """
    headers = _passing(theirs, _NOT_SENT)
    if trace := record.trace_headers():
        headers = replaced(headers, trace)
    id = record.request_id.encode()
    before = b"".join([value + b", " for name, value in theirs if name == b"x-forwarded-for"])
    host = b"".join([value for name, value in theirs if name == b"host"])
    if not host:
        headers.append((b"host", b"instance"))  # HTTP/1.0's need none
    headers += (
        (b"x-request-id", id),
        (b"x-bentofn-request-id", id),
        (b"x-forwarded-for", before + peer.encode()),
        (b"x-forwarded-proto", b"http"),
        (b"x-forwarded-host", host),
        (b"x-forwarded-prefix", b"/" + function.encode()),
    )
    return headers


def response_headers(
    theirs: Sequence[Header],
    request_id: str,
    assignment: Assignment,
    allowed: Cors | None,
    origin: str | None,
) -> list[Header]:
    """What a caller is sent, without the body's length.

    Args:
        theirs: The instance's headers, their names in lower case.
        request_id: The request's.
        assignment: Where it was answered.
        allowed: Who may read the answer, where the function's URL says.
        origin: The caller's.
    """
    headers = _passing(theirs, _NOT_PASSED)
    if allowed:
        prefix = cors.PREFIX.encode()
        headers = [each for each in headers if not each[0].startswith(prefix)]
        headers += encoded(cors.response_headers(allowed, origin))
    if b"date" not in dict(headers):
        headers.append((b"date", _date(int(time.time()))))  # RFC 9110, section 6.6.1
    headers += (
        (b"X-Request-Id", request_id.encode()),
        (b"X-Bentofn-Start", assignment.start.encode()),
        (b"X-Bentofn-Instance", assignment.instance.encode()),
    )
    return headers


def take_batch_seconds(record: Record, said: bytes) -> None:
    """Take what an instance says of a batch's times, which it does if it was asked to."""
    found = _SECONDS.fullmatch(said)
    if found is not None:
        record.batch_waited, record.batch_took = float(found[1]), float(found[2])


def _passing(theirs: Sequence[Header], stopped: frozenset[bytes]) -> list[Header]:
    """The headers that are not of the connection that they came on, and that nobody else sets."""
    for name, value in theirs:
        if name == b"connection" and (words := value.lower()) not in _ORDINARY:
            stopped |= {word.strip() for word in words.split(b",")}
    return [each for each in theirs if each[0] not in stopped]


@lru_cache(maxsize=1)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
