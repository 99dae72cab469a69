"""What the containers of a function wrote, from Modal's logs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from bentofn.adapters.modal.errors import explained
from bentofn.adapters.modal.session import Session
from bentofn.adapters.protocol import LogLine

_TAIL = 100
"""Lines that are shown where nobody says since when."""

_LONGEST = timedelta(days=29)
"""Modal fetches at most 35 days at once, and keeps 30 on its dearest plan."""


def read_logs(
    session: Session, function: str, *, follow: bool, since: float, tail: int | None, request: str
) -> Iterator[LogLine]:
    """Lines in order of time; see :meth:`bentofn.adapters.protocol.Adapter.logs`.

    Raises:
        UserError: A call failed.
    """
    with explained(f"Reading the logs of {function!r}", session.calls):
        for line in _lines(session, function, follow=follow, since=since, tail=tail):
            if line.ts > since and (not request or request in line.line):
                yield line


def _lines(
    session: Session, function: str, *, follow: bool, since: float, tail: int | None
) -> Iterator[LogLine]:
    import modal

    app = modal.App.lookup(
        function, client=session.client, environment_name=session.environment or None
    )
    last = since
    for entry in _past(app, since, tail):
        yield (line := _line(entry))
        last = max(last, line.ts)
    if follow:
        for entry in app.logs.stream():
            if (line := _line(entry)).ts > last:
                yield line


def _past(app: Any, since: float, tail: int | None) -> Iterator[Any]:
    if tail == 0:
        return
    if tail is not None or since <= 0:
        yield from app.logs.tail(tail or _TAIL)
        return
    earliest = datetime.now(timezone.utc) - _LONGEST
    yield from app.logs.fetch(since=max(datetime.fromtimestamp(since, timezone.utc), earliest))


def _line(entry: Any) -> LogLine:
    # From the function and the call to the container, as far as each is known.
    places: list[str] = entry.context_ids
    return LogLine(
        ts=entry.timestamp.timestamp(),
        instance=places[-1] if places else "platform",
        stream=entry.source,
        line=entry.message.rstrip("\n"),
        request=next((each for each in places if each.startswith("fc-")), ""),
    )
