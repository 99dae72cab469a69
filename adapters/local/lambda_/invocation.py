"""What an execution environment is given to do and what it makes of it.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bentofn.adapters.local.lambda_.streaming import ResponseStream

MAX_PAYLOAD = 6 * 1024 * 1024 + 100
"""Bytes of an event or a buffered answer: RIE's own figure, "6 MB" in the documentation."""


@dataclass(frozen=True)
class Invocation:
    """One call of a function.

    Args:
        request_id: A UUID that nothing else has.
        event: JSON.
        deadline: When it must be answered, in seconds since the epoch of the machine's clock.
        client_context: JSON, as a caller's ``X-Amz-Client-Context`` holds it in base64.
        trace_id: An X-Ray trace header; one is made where there is none.
        identity: JSON of the caller's Cognito identity.
        log_tail: Whether the end of its log is wanted.
        qualifier: The version or alias that was asked for, which stands in the function's ARN.
        headers: The caller's, for the trace that they may name.
        stream: Where the answer goes as it is written, if the runtime streams; None for a caller
            that takes only the whole.
    """

    request_id: str
    event: bytes
    deadline: float
    client_context: bytes | None = None
    trace_id: str | None = None
    identity: bytes | None = None
    log_tail: bool = False
    qualifier: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: ResponseStream | None = None


@dataclass(frozen=True)
class InvocationResult:
    """What became of an invocation.

    Args:
        payload: What the function returned, or the JSON that describes its error; empty for what
            went into the invocation's stream.
        function_error: ``Unhandled`` for every error: ``Handled`` is of runtimes that are gone.
        log_tail: The last 4 KiB of its log where that was wanted.
        duration_ms: Milliseconds from its start to its end.
        billed_ms: Milliseconds that are paid for.
        init_ms: Milliseconds that its environment's start took, where it was the first there.
        max_memory_mb: The most memory that the environment has used so far, in MiB.
        content_type: Of the payload.
        restore_ms: As ``init_ms``, of an environment that was restored by SnapStart.
        error_type: Such as ``Runtime.ExitError`` or the exception's name; empty for none.
    """

    payload: bytes
    function_error: Literal["Handled", "Unhandled"] | None
    log_tail: bytes
    duration_ms: float
    billed_ms: int
    init_ms: float | None
    max_memory_mb: int
    content_type: str
    restore_ms: float | None = None
    error_type: str = ""


class InvocationRefused(Exception):  # noqa: N818 - an answer of the Invoke API
    """The Invoke API answers with an error of its own: the function was not called.

    Args:
        status: HTTP status.
        code: The error's name, such as ``SnapStartTimeoutException``.
        message: One sentence.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Environment(Protocol):
    """Where invocations run, one after the other unless it has several workers."""

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        """Run an invocation; one that its caller abandons runs to its end nevertheless.

        Raises:
            InvocationRefused: The environment could not be restored.
        """
