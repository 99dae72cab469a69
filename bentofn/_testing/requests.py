"""What the journal tells of a function's requests and instances, put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from bentofn.adapters.local.journal.events import (
    Event,
    InstanceChanged,
    RequestAnswered,
    RequestArrived,
    RequestRefused,
)


@dataclass(frozen=True)
class Request:
    """A request, as the platform saw it.

    Args:
        id: Its id, also in the answer's ``X-Request-Id``.
        method: HTTP method; ``INVOKE`` where Lambda's API or URL took it.
        path: Path below the function's URL.
        status: HTTP status of its answer; None while it has none, 499 if its caller left.
        start: ``warm``, or how its instance was started for it: ``cold``, ``zygote``, ``restored``;
            empty if it got none.
        instance: Who answered; empty if it got none.
        batch_size: Items of the batch that it was answered in; None outside of batches.
        waited: Real seconds until it got an instance; None if it got none.
        took: Real seconds until its end; None while it has none, or if it was refused.
        refused: Why the platform refused it; empty if it did not.
    """

    id: str
    method: str
    path: str
    status: int | None = None
    start: str = ""
    instance: str = ""
    batch_size: int | None = None
    waited: float | None = None
    took: float | None = None
    refused: str = ""


@dataclass(frozen=True)
class Start:
    """An instance that came up.

    Args:
        instance: Its name.
        kind: ``cold``, ``zygote`` or ``restored``.
        took: Real seconds.
    """

    instance: str
    kind: str
    took: float


def requests_of(events: Iterable[Event]) -> list[Request]:
    """The requests of one function, in their order of arrival."""
    found: dict[int, Request] = {}
    for event in events:
        if isinstance(event, RequestArrived):
            found[event.number] = Request(event.request_id, event.method, event.path)
        elif isinstance(event, RequestAnswered | RequestRefused) and event.number in found:
            found[event.number] = _ended(found[event.number], event)
    return list(found.values())


def _ended(request: Request, event: RequestAnswered | RequestRefused) -> Request:
    if isinstance(event, RequestRefused):
        return dataclasses.replace(request, status=event.status, refused=event.reason)
    return dataclasses.replace(
        request,
        status=event.status,
        start=event.start,
        instance=event.instance,
        batch_size=event.batch_size,
        waited=None if event.started is None else event.started - event.queued,
        took=event.ended - event.queued,
    )


def starts_of(events: Iterable[Event]) -> list[Start]:
    """The instances of one function that came up, in that order."""
    return [
        Start(event.instance, event.kind, event.took or 0.0)
        for event in events
        if isinstance(event, InstanceChanged) and event.state == "ready"
    ]
