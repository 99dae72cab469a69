"""What a pool is told and what it answers. Times are seconds on any one monotonic clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RequestArrived:
    """A request for the function; ``request`` is unique."""

    request: int


@dataclass(frozen=True)
class RequestFinished:
    """The instance that had the request answered it, or will not.

    Args:
        request: It.
        billed: Seconds that the backend itself reports as billed for it, the start of its instance
            included if it was the first there; None where it reports none.
    """

    request: int
    billed: float | None = None


@dataclass(frozen=True)
class RequestCancelled:
    """The caller went away, whether the request waited or ran."""

    request: int


@dataclass(frozen=True)
class RequestTimedOut:
    """The instance that has the request did not answer it in time, and may never."""

    request: int


@dataclass(frozen=True)
class InstanceReady:
    """A starting instance serves.

    Args:
        instance: It.
        keeps: Whether what it becomes while it serves can be kept for later starts.
        sleeps: Whether it can sleep, used or not, in place of being stopped.
        start: How it was started: ``cold``, ``zygote`` or ``restored``.
    """

    instance: str
    keeps: bool = False
    start: str = "cold"
    sleeps: bool = False


@dataclass(frozen=True)
class InstanceFailed:
    """A starting instance did not come to serve."""

    instance: str
    reason: str


@dataclass(frozen=True)
class InstanceExited:
    """An instance that served is gone, whether asked to go or not.

    Args:
        instance: It.
        reason: How it ended.
        status: HTTP status of the requests that it had.
    """

    instance: str
    reason: str
    status: int = 502


@dataclass(frozen=True)
class InstanceLost:
    """An instance that served cannot be reached; its end will be told later."""

    instance: str


@dataclass(frozen=True)
class InstanceWanted:
    """Have at least one instance, requests or not."""


@dataclass(frozen=True)
class InstanceUnwanted:
    """Others need what an instance has: it goes once it has answered what it has."""

    instance: str


@dataclass(frozen=True)
class Drain:
    """Take no more requests, finish what there is, and go to zero."""


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = (
    RequestArrived
    | RequestFinished
    | RequestCancelled
    | RequestTimedOut
    | InstanceReady
    | InstanceFailed
    | InstanceExited
    | InstanceLost
    | InstanceWanted
    | InstanceUnwanted
    | Drain
    | Tick
)


@dataclass(frozen=True)
class StartInstance:
    """Start an instance; answered by InstanceReady or InstanceFailed."""

    instance: str


@dataclass(frozen=True)
class Dispatch:
    """Give a request to an instance; ``started`` says that it waited for this one's start."""

    request: int
    instance: str
    started: bool


@dataclass(frozen=True)
class StopInstance:
    """Stop an instance; answered by InstanceExited, or InstanceFailed if it was starting.

    Args:
        instance: It.
        keep: Whether it can be kept, served, and is stopped only because there is nothing to do and
            no other is left: what it has become is kept for later starts. One that can sleep does,
            also where others need what it has.
    """

    instance: str
    keep: bool = False


@dataclass(frozen=True)
class Refuse:
    """Answer a request with an HTTP status and a sentence.

    Args:
        request: It.
        status: The status.
        reason: The sentence.
        overflow: Whether there was no room for it: the backend has an answer of its own then.
    """

    request: int
    status: int
    reason: str
    overflow: bool = False


@dataclass(frozen=True)
class WakeAt:
    """Send a Tick at this time; it replaces an earlier WakeAt."""

    time: float


Command = StartInstance | Dispatch | StopInstance | Refuse | WakeAt
