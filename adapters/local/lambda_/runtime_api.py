"""The Runtime API as a state machine without I/O: calls of a runtime in, replies and news out.

The states are those of AWS's runtime interface emulator, and so are the words of the refusals.

Sources: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and
https://github.com/aws/aws-lambda-runtime-interface-emulator (``internal/lambda/core/states.go``,
``internal/lambda/rapi``).
"""

from __future__ import annotations

import base64
import json
import re
from collections import deque
from enum import Enum

from bentofn.adapters.local.lambda_.messages import (
    Answered,
    Broken,
    Call,
    Headers,
    Offer,
    Output,
    Reply,
    RestoreReady,
    Streaming,
    Waiting,
)

VERSION = "/2018-06-01"
MODE = "lambda-runtime-function-response-mode"
ERROR_TYPE = "lambda-runtime-function-error-type"
ERROR_BODY = "lambda-runtime-function-error-body"
STREAMING = "streaming"


class State(Enum):
    """What a runtime is doing; the values are RIE's names."""

    STARTED = "Started"
    INIT_ERROR = "InitError"
    RESTORE_READY = "RestoreReady"
    RESTORING = "Restoring"
    RESTORE_ERROR = "RuntimeRestoreErrorState"
    READY = "Ready"
    RUNNING = "Running"
    RESPONSE_SENT = "RuntimeResponseSentState"


_TEXT: Headers = (("Content-Type", b"text/plain; charset=utf-8"),)
_OK = b'{"status":"OK"}\n'
_INVOCATION = re.compile(r"/runtime/invocation/([^/]*)/(response|error)")


class RuntimeApi:
    """The Runtime API for one process, or one and its workers.

    Args:
        workers: Invocations that run at a time (``AWS_LAMBDA_MAX_CONCURRENCY``).
        snap_start: Whether there is a snapshot point.
    """

    def __init__(self, workers: int = 1, *, snap_start: bool = False) -> None:
        self.state = State.STARTED
        self._several = workers > 1
        self._snap_start = snap_start
        self._polls: deque[int] = deque()
        self._restoring: int | None = None
        self._offers: deque[Offer] = deque()
        self._running: dict[str, Offer] = {}
        self._late: set[str] = set()
        self._current = ""

    @property
    def idle(self) -> bool:
        """Whether the runtime waits for work and has none."""
        waits = bool(self._polls) or self.state is State.RESTORE_READY
        return waits and not (self._running or self._offers)

    def begin(self, call: Call) -> list[Output]:
        """Take in the head of a call whose body may be an answer that is streamed."""
        found = _INVOCATION.fullmatch(_below(call))
        offer = (
            self._running.get(found[1]) if found is not None and found[2] == "response" else None
        )
        if offer is None or not offer.streams or call.headers.get(MODE) != STREAMING:
            return []
        return [Streaming(call.number, offer.request_id, _content_type(call))]

    def call(self, call: Call) -> list[Output]:
        """Take in a call; its reply comes at once, or later where it asks for work."""
        path = _below(call)
        found = _INVOCATION.fullmatch(path)
        if found is not None and call.method == "POST":
            return self._result(call, found[1], found[2])
        match call.method, path:
            case "GET", "/runtime/invocation/next":
                return self._next(call.number)
            case "POST", "/runtime/init/error":
                return self._init_error(call)
            case "GET", "/runtime/restore/next" if self._snap_start:
                return self._restore_next(call.number)
            case "POST", "/runtime/restore/error" if self._snap_start:
                return self._restore_error(call)
            case "GET", "/ping":
                return [Reply(call.number, 200, b"pong", _TEXT)]
        return [Reply(call.number, 404, b"404 page not found\n", _TEXT)]

    def offer(self, offer: Offer) -> list[Output]:
        """Have an invocation run; it waits where the runtime does not ask for work yet."""
        self._offers.append(offer)
        return self._hand_out()

    def restore(self) -> list[Output]:
        """Let a runtime at its snapshot point go on."""
        number, self._restoring = self._restoring, None
        if number is None:
            return []
        self.state = State.RESTORING
        return [Reply(number, 200, b"")]

    def give_up(self, request_id: str) -> None:
        """Nobody waits for an invocation any more; what several workers still answer is refused."""
        self._offers = deque(o for o in self._offers if o.request_id != request_id)
        if self._running.pop(request_id, None) is not None:
            self._late.add(request_id)

    def hung_up(self, number: int) -> None:
        """The connection of a call that was not answered is gone."""
        self._polls = deque(poll for poll in self._polls if poll != number)
        if self._restoring == number:
            self._restoring = None

    def _next(self, number: int) -> list[Output]:
        if self.state is State.RUNNING and not self._several and self._current in self._running:
            # It asks again for what it has: the answer may have been lost on its way.
            return [_invocation(number, self._running[self._current])]
        if self.state not in (State.STARTED, State.RESTORING, State.READY, State.RESPONSE_SENT):
            return [self._refusal(number, "Ready")]
        self.state = State.READY
        self._polls.append(number)
        return [Waiting(), *self._hand_out()]

    def _hand_out(self) -> list[Output]:
        replies: list[Output] = []
        while self._polls and self._offers and (self._several or not self._running):
            offer = self._offers.popleft()
            self._running[offer.request_id] = offer
            self._current = offer.request_id
            if not self._several:
                self.state = State.RUNNING
            replies.append(_invocation(self._polls.popleft(), offer))
        return replies

    def _result(self, call: Call, request_id: str, kind: str) -> list[Output]:
        number = call.number
        if request_id in self._late:
            self._late.discard(request_id)
            return [_refuse(number, 410, "InvokeTimeout", "Invoke timeout")]
        known = request_id in self._running if self._several else request_id == self._current != ""
        if not known:
            return [_refuse(number, 400, "InvalidRequestID", "Invalid request ID")]
        if request_id not in self._running:
            target = "InvocationResponse" if kind == "response" else "InvocationErrorResponse"
            return [self._refusal(number, target)]
        take = _response if kind == "response" else _error
        answer, reply = take(call, request_id)
        del self._running[request_id]
        if not self._several:
            self.state = State.RESPONSE_SENT
        return [reply, answer]

    def _init_error(self, call: Call) -> list[Output]:
        if self.state is State.RESTORING:  # where hooks report it by an older client
            return self._restore_error(call)
        if self.state is not State.STARTED:
            return [self._refusal(call.number, State.INIT_ERROR.value)]
        self.state = State.INIT_ERROR
        return [Reply(call.number, 202, _OK), _broken(call)]

    def _restore_next(self, number: int) -> list[Output]:
        if self.state is not State.STARTED:
            return [self._refusal(number, "Ready")]
        self.state = State.RESTORE_READY
        self._restoring = number
        return [RestoreReady()]

    def _restore_error(self, call: Call) -> list[Output]:
        if self.state is not State.RESTORING:
            return [self._refusal(call.number, State.RESTORE_ERROR.value)]
        self.state = State.RESTORE_ERROR
        return [Reply(call.number, 202, _OK), _broken(call)]

    def _refusal(self, number: int, target: str) -> Reply:
        return _refuse(
            number,
            403,
            "InvalidStateTransition",
            f"State transition from {self.state.value} to {target} failed for runtime. "
            "Error: State transition is not allowed",
        )


def _below(call: Call) -> str:
    """A call's path below the API's version; empty for another's."""
    return call.path.removeprefix(VERSION) if call.path.startswith(f"{VERSION}/") else ""


def _content_type(call: Call) -> str:
    return call.headers.get("content-type", "application/octet-stream")


def error_payload(error_type: str, message: str) -> bytes:
    """The JSON that describes an error of the platform's."""
    raw = {"errorType": error_type, "errorMessage": message}
    return json.dumps(raw, separators=(",", ":")).encode()


def _invocation(number: int, offer: Offer) -> Reply:
    return Reply(number, 200, offer.event, offer.headers)


def _refuse(number: int, status: int, error_type: str, message: str) -> Reply:
    body = json.dumps({"errorMessage": message, "errorType": error_type}).encode()
    return Reply(number, status, body + b"\n")


def _response(call: Call, request_id: str) -> tuple[Answered, Reply]:
    """What an answer makes of the invocation, and the reply to it."""
    mode = call.headers.get(MODE, "")
    if mode not in ("", STREAMING):
        failure = _failed(request_id, "Runtime.InvalidResponseModeHeader", "")
        what = "Invalid function response mode"
        return failure, _refuse(call.number, 400, "InvalidFunctionResponseMode", what)
    if not call.complete:
        failure = _failed(request_id, "Runtime.TruncatedResponse", "Response truncated")
        what = "HTTP request detected as truncated"
        return failure, _refuse(call.number, 400, "TruncatedHTTPRequest", what)
    if call.size > call.limit:
        failure = _failed(
            request_id,
            "Function.ResponseSizeTooLarge",
            f"Response payload size exceeded maximum allowed payload size ({call.limit} bytes).",
        )
        what = f"Exceeded maximum allowed payload size ({call.limit} bytes)."
        return failure, _refuse(call.number, 413, "RequestEntityTooLarge", what)
    accepted = Reply(call.number, 202, _OK)
    if (broken := call.trailers.get(ERROR_TYPE)) is not None:
        payload = _trailing_error(call) or error_payload(broken, "The function's stream broke off")
        return Answered(request_id, payload, "application/json", broken), accepted
    return Answered(request_id, call.body, _content_type(call)), accepted


def _error(call: Call, request_id: str) -> tuple[Answered, Reply]:
    answered = Answered(
        request_id,
        call.body,
        call.headers.get("content-type", "application/json"),
        _error_type(call),
    )
    return answered, Reply(call.number, 202, _OK)


def _failed(request_id: str, kind: str, message: str) -> Answered:
    return Answered(request_id, error_payload(kind, message), "application/json", kind)


def _trailing_error(call: Call) -> bytes:
    """The JSON of an error that came after a part of a stream, in base64; empty for none."""
    try:
        return base64.b64decode(call.trailers.get(ERROR_BODY, ""), validate=True)
    except ValueError:
        return b""


def _broken(call: Call) -> Broken:
    return Broken(call.body, _error_type(call))


def _error_type(call: Call) -> str:
    """The error's type: of the header, else of the body, which is all that awslambdaric sends."""
    named = call.headers.get(ERROR_TYPE)
    if named:
        return named
    try:
        raw = json.loads(call.body)
    except ValueError:
        return "Runtime.Unknown"
    kind = raw.get("errorType") if isinstance(raw, dict) else None
    return kind if isinstance(kind, str) and kind else "Runtime.Unknown"
