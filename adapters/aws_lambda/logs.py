"""A function's lines in CloudWatch Logs.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
and https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bentofn.adapters.aws_lambda.names import Names
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.protocol import LogLine

POLL = 2.0
"""Seconds between two looks for new lines."""

LATE = 30.0
"""Seconds by which a line may come later than others that are younger."""

_WINDOWS = (600.0, 3600.0, 86_400.0, 7 * 86_400.0)
"""Seconds that are looked back for the last lines, until there are enough."""

_PLATFORM = re.compile(r"(INIT_START|START|END|REPORT|RESTORE_START|RESTORE_REPORT|XRAY) ")
_REQUEST = re.compile(r"RequestId: ([0-9a-f-]{36})")
_TEXT = re.compile(r"\[[A-Z]+\]\t[^\t]+\t([0-9a-f-]{36})\t")
"""How Lambda's Python writes a logger's lines."""

Clock = Callable[[], float]


def read_logs(
    session: Session,
    names: Names,
    *,
    follow: bool,
    since: float,
    tail: int | None,
    request: str,
    clock: Clock = time.time,
) -> Iterator[LogLine]:
    """Lines in order of time, as :meth:`bentofn.adapters.protocol.Adapter.logs` gives them.

    Raises:
        UserError: AWS refused, or was not reached.
    """
    now = clock()
    reader = _Reader(session, names, request)
    if tail is not None and not since:
        lines = _last(reader, now, tail)
    else:
        lines = list(reader.between(since, now))
    yield from lines if tail is None else lines[len(lines) - min(tail, len(lines)) :]
    start = max(now - LATE, since)
    while follow:
        session.wait(POLL)
        end = clock()
        yield from reader.between(start, end)
        start = max(start, end - LATE)


def _last(reader: _Reader, now: float, tail: int) -> list[LogLine]:
    lines: list[LogLine] = []
    for window in _WINDOWS:
        reader.seen.clear()
        lines = list(reader.between(now - window, now))
        if len(lines) >= tail:
            break
    return lines


class _Reader:
    """Reads lines, each once.

    Args:
        session: The account.
        names: The function.
        request: Only those of the request with this id; empty for all.
    """

    def __init__(self, session: Session, names: Names, request: str) -> None:
        self._session = session
        self._names = names
        self._request = request
        self._running: dict[str, str] = {}
        self.seen: set[str] = set()

    def between(self, start: float, end: float) -> Iterator[LogLine]:
        """Lines later than a moment, up to another, in seconds since the epoch."""
        events = self._session.pages(
            "logs",
            "FilterLogEvents",
            self._names.log_group_arn,
            "events",
            logGroupName=self._names.log_group,
            startTime=int(start * 1000),
            endTime=int(end * 1000) + 1,
        )
        for event in sorted(events, key=lambda each: (each["timestamp"], each["ingestionTime"])):
            if event["eventId"] in self.seen:
                continue
            self.seen.add(event["eventId"])
            line = self._line(event)
            if line.ts > start and self._request in ("", line.request):
                yield line

    def _line(self, event: Mapping[str, Any]) -> LogLine:
        stream, text = event["logStreamName"], event["message"].rstrip("\n")
        raw = _json(text)
        is_platform = bool(_PLATFORM.match(text)) or str(raw.get("type", "")).startswith("platform")
        request = self._request_of(stream, text, raw)
        kind = "platform" if is_platform else "stdout"
        return LogLine(event["timestamp"] / 1000, stream, kind, text, request)

    def _request_of(self, stream: str, text: str, raw: Mapping[str, Any]) -> str:
        """The request that a line is of: it says so, or it was written while that one ran."""
        said = raw.get("requestId") or raw.get("AWSRequestId")
        record = raw.get("record")
        if isinstance(record, Mapping):
            said = said or record.get("requestId")
        match = _TEXT.match(text)
        if match is None and _PLATFORM.match(text):
            match = _REQUEST.search(text)
        found = str(said) if said else match[1] if match is not None else ""
        if text.startswith("START ") or raw.get("type") == "platform.start":
            self._running[stream] = found
        found = found or self._running.get(stream, "")
        if text.startswith("REPORT ") or raw.get("type") == "platform.report":
            self._running.pop(stream, None)
        return found


def _json(text: str) -> Mapping[str, Any]:
    """A line of Lambda's JSON format; empty where it is none."""
    if not text.startswith("{"):
        return {}
    try:
        raw = json.loads(text)
    except ValueError:
        return {}
    return raw if isinstance(raw, dict) else {}
