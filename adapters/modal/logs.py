"""What the containers of a function wrote, from Modal's logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from bentofn.adapters.modal.errors import explained
from bentofn.adapters.modal.history import unknown
from bentofn.adapters.modal.session import Session
from bentofn.adapters.protocol import LogLine

_TAIL = 100
"""Lines that are shown where nobody says since when."""

_MOST = 20_000
"""Lines that Modal's client takes as the last ones at most."""

_LONGEST = timedelta(days=29)
"""Modal fetches at most 35 days at once, and keeps 30 on its dearest plan."""

_WINDOWS = (timedelta(hours=1), timedelta(days=1), timedelta(days=7), _LONGEST)
"""How far is looked back for a request, until there is something of it."""

_CALL = "fc-"
"""What Modal's names of calls begin with."""


def read_logs(
    session: Session, function: str, *, follow: bool, since: float, tail: int | None, request: str
) -> Iterator[LogLine]:
    """Lines in order of time; see :meth:`bentofn.adapters.protocol.Adapter.logs`.

    Raises:
        UserError: There is no such function, or a call failed.
    """
    import modal

    with explained(f"Reading the logs of {function!r}", session.calls):
        try:
            app = modal.App.lookup(
                function, client=session.client, environment_name=session.environment or None
            )
        except modal.exception.NotFoundError:
            raise unknown(function) from None
        last = since
        if tail != 0:
            past = _of_request(app, since, tail, request) if request else _past(app, since, tail)
            for line in past:
                if line.ts > since:
                    yield line
                last = max(last, line.ts)
        if follow:
            for entry in app.logs.stream():
                line = _line(entry)
                if line.ts > last and _is_of(line, request):
                    yield line


def _past(app: Any, since: float, tail: int | None) -> Iterator[LogLine]:
    if tail is not None or since <= 0:
        entries = app.logs.tail(min(tail or _TAIL, _MOST))
    else:
        entries = app.logs.fetch(since=max(_moment(since), _ago(_LONGEST)))
    yield from map(_line, entries)


def _of_request(app: Any, since: float, tail: int | None, request: str) -> Iterator[LogLine]:
    """The lines of a request, sought in ever longer times, since it is mostly a recent one."""
    # A call's own lines need not say its name; in others Modal looks for the text itself.
    text = "" if request.startswith(_CALL) else request
    for window in _WINDOWS:
        start = max(_moment(since), _ago(window))
        entries = map(_line, app.logs.fetch(since=start, search_text=text))
        found = deque((each for each in entries if _is_of(each, request)), maxlen=tail)
        if found or start == _moment(since):
            yield from found
            return


def _is_of(line: LogLine, request: str) -> bool:
    return request in (line.request, "") or request in line.line


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def _ago(window: timedelta) -> datetime:
    return datetime.now(timezone.utc) - window


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
