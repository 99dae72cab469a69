"""What can happen on the platform.

Every event has ``at``, the platform's time in seconds since the epoch, which may run faster than
the clock on the wall, and ``function``, whose it is. What is physical (how long a request waited or
an instance took to start) is told in seconds of the system's monotonic clock, whatever the speed.

Nobody changes an event. They are not frozen all the same: three are made for each request, and a
frozen one takes four times as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

InstanceState = Literal[
    "starting", "restoring", "ready", "busy", "idle", "parking", "stopping", "gone"
]

GONE = 499
"""Status of a request whose caller went away before the answer, as in nginx's logs."""


@dataclass(slots=True, unsafe_hash=True)
class Happened:
    """Anything.

    Args:
        at: When, in the platform's time.
        function: Name of the function; ``function.Service`` for a further service of its bento.
    """

    at: float
    function: str


@dataclass(slots=True, unsafe_hash=True)
class RequestArrived(Happened):
    """A request came in; RequestAnswered or RequestRefused ends it, whatever else happens.

    Args:
        request_id: Names the request in the caller's answer, in logs and in traces.
        method: HTTP method.
        path: Path below the function's, without the query, which may hold secrets.
        size: Bytes of its body as the caller declared them; 0 where it did not.
        number: Tells requests of one id apart, which callers give; as in what follows of it.
    """

    request_id: str
    method: str
    path: str
    size: int = 0
    number: int = 0


@dataclass(slots=True, unsafe_hash=True)
class RequestQueued(Happened):
    """A request has to wait for an instance."""

    request_id: str
    number: int = 0


@dataclass(slots=True, unsafe_hash=True)
class RequestAssigned(Happened):
    """An instance gets a request; one that was dead already is followed by another.

    Args:
        request_id: The request.
        instance: Who gets it.
        start: ``warm``, or how the instance was started for this request: ``cold``, ``zygote`` or
            ``restored``.
    """

    request_id: str
    instance: str
    start: str
    number: int = 0


@dataclass(slots=True, unsafe_hash=True)
class RequestAnswered(Happened):
    """A request has its answer: the instance's, or the platform's in its place.

    Args:
        request_id: The request.
        status: HTTP status; :data:`GONE` if the caller left before.
        queued: When it was taken in, by the monotonic clock.
        started: When an instance got it, by the same clock; None if none did.
        ended: When it was over, by the same clock.
        batch_size: Items of the batch that it was answered in; None outside of batches.
        size: Bytes of the answer's body.
        instance: Who answered; empty if nobody got it.
        start: As in :class:`RequestAssigned`.
        batch_waited: Seconds that it waited in the instance for its batch, if a trace is made.
        batch_took: Seconds from that batch's start until all of it was answered, likewise.
    """

    request_id: str
    status: int
    queued: float
    started: float | None
    ended: float
    batch_size: int | None = None
    size: int = 0
    instance: str = ""
    start: str = ""
    batch_waited: float | None = None
    batch_took: float | None = None
    number: int = 0


@dataclass(slots=True, unsafe_hash=True)
class RequestRefused(Happened):
    """The platform refused a request, by a limit of the function's or because nothing starts.

    Args:
        request_id: The request.
        status: HTTP status; 429 is a throttle.
        reason: One sentence.
    """

    request_id: str
    status: int
    reason: str
    number: int = 0


@dataclass(slots=True, unsafe_hash=True)
class InstanceChanged(Happened):
    """An instance is in another state.

    Args:
        instance: Which.
        state: ``starting``; ``restoring``, if from a snapshot; ``ready``, once, when it can take
            requests; ``busy`` with the first of them and ``idle`` after the last; ``parking`` while
            what it has become is kept; ``stopping``; ``gone``.
        kind: How it was started, or will be: ``cold``, ``zygote`` or ``restored``.
        took: Of ``ready``: the seconds from its start, by the monotonic clock.
        reason: Of ``gone``: how it ended, or why it did not start.
    """

    instance: str
    state: InstanceState
    kind: str
    took: float | None = None
    reason: str = ""


@dataclass(slots=True, unsafe_hash=True)
class Deployed(Happened):
    """A version gets the function's requests from now on; also of each when the platform starts.

    Args:
        version: Its number.
        profile: Name of the platform's rules that hold for it.
    """

    version: int
    profile: str


@dataclass(slots=True, unsafe_hash=True)
class Destroyed(Happened):
    """The function is not deployed any more."""


@dataclass(slots=True, unsafe_hash=True)
class Invoked(Happened):
    """An asynchronous invocation was taken in or tried.

    Args:
        request_id: The invocation's.
        attempt: 0 when it is taken in, then 1, 2...
        outcome: ``accepted``, ``succeeded``, ``failed``, ``throttled``.
    """

    request_id: str
    attempt: int
    outcome: str


@dataclass(slots=True, unsafe_hash=True)
class Retried(Happened):
    """An asynchronous invocation is to be tried again.

    Args:
        request_id: The invocation's.
        attempt: The number of the attempt to come.
        after: Seconds until then, in the platform's time.
    """

    request_id: str
    attempt: int
    after: float


@dataclass(slots=True, unsafe_hash=True)
class DeadLettered(Happened):
    """An asynchronous invocation was given up.

    Args:
        request_id: The invocation's.
        reason: Why, in the backend's words.
        where: What holds it now.
    """

    request_id: str
    reason: str
    where: str


@dataclass(slots=True, unsafe_hash=True)
class Fired(Happened):
    """A schedule was due.

    Args:
        schedule: Its name.
        due: The time that it was due at, in the platform's time.
        outcome: ``delivered``, ``retrying``, ``failed`` or ``skipped``.
        attempt: Which attempt, from 1.
        reason: Why it failed.
    """

    schedule: str
    due: float
    outcome: str
    attempt: int = 1
    reason: str = ""


@dataclass(slots=True, unsafe_hash=True)
class Cost(Happened):
    """Something was billed.

    Args:
        amount: In the currency.
        currency: ISO 4217.
        items: What it is made of, name to amount.
    """

    amount: float
    currency: str = "USD"
    items: Mapping[str, float] = field(default_factory=dict)


Event = (
    RequestArrived
    | RequestQueued
    | RequestAssigned
    | RequestAnswered
    | RequestRefused
    | InstanceChanged
    | Deployed
    | Destroyed
    | Invoked
    | Retried
    | DeadLettered
    | Fired
    | Cost
)
