"""What goes into the Runtime API's state machine and what comes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bentofn.adapters.local.lambda_.invocation import MAX_PAYLOAD

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Call:
    """A request of the runtime.

    Args:
        number: Unique among those of one runtime.
        method: Its HTTP method.
        path: Its path, without a query.
        headers: Lower-case name to value.
        body: Its body; empty where it was larger than may be, or was told of in pieces.
        size: Bytes of the body.
        limit: Bytes that it may hold.
        complete: Whether all of the body came.
        trailers: Lower-case name to value of what came after a chunked body.
    """

    number: int
    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    size: int = 0
    limit: int = MAX_PAYLOAD
    complete: bool = True
    trailers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Offer:
    """An invocation as the runtime is told of it: the headers and body of ``/next``'s answer.

    Its caller ``streams`` where it takes an answer as it comes.
    """

    request_id: str
    headers: Headers
    event: bytes
    streams: bool = False


@dataclass(frozen=True)
class Reply:
    """Answer a call."""

    call: int
    status: int
    body: bytes
    headers: Headers = (("Content-Type", b"application/json"),)


@dataclass(frozen=True)
class Waiting:
    """The runtime asks for work: it has been initialised, or has finished what it had."""


@dataclass(frozen=True)
class RestoreReady:
    """The runtime is at its snapshot point."""


@dataclass(frozen=True)
class Streaming:
    """A runtime begins to write an answer whose caller takes it as it comes.

    Args:
        call: With which it does.
        request_id: Which.
        content_type: Of the answer.
    """

    call: int
    request_id: str
    content_type: str


@dataclass(frozen=True)
class Answered:
    """An invocation has its answer.

    Args:
        request_id: Which.
        payload: The answer, or the JSON of the error; empty for what was told of in pieces.
        content_type: Of the payload.
        error_type: Of the error; None where it is an answer.
    """

    request_id: str
    payload: bytes
    content_type: str
    error_type: str | None = None


@dataclass(frozen=True)
class Broken:
    """The runtime could not start, or not go on after it was restored; it ends.

    Args:
        payload: The JSON of the error.
        error_type: Its type.
    """

    payload: bytes
    error_type: str


Output = Reply | Waiting | RestoreReady | Streaming | Answered | Broken
