"""What the console shows of one function: its instances over time, its load, its last requests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from bentofn.adapters.local.journal.events import (
    Fired,
    InstanceChanged,
    RequestAnswered,
    RequestArrived,
    RequestRefused,
)

SEGMENTS = 1500
"""States of an instance that are kept."""
GONE_TRACKS = 60
"""Instances that are gone and still shown."""
REQUESTS = 200
"""Requests of a function that are kept."""
FIRES = 30
"""Deliveries of a function's schedules that are kept."""
SECONDS = 900
"""Seconds with requests that are kept, of the wall's clock."""
GAP = 0.2
"""Seconds of idleness that are too short to be shown, of the wall's clock."""


@dataclass
class Track:
    """An instance over time.

    Args:
        instance: Its name.
        kind: How it was started.
        took: Seconds that its start took; None while it starts.
        segments: When it came into which state, the oldest first.
        reason: How it ended; empty while it lives.
        changed: The journal's count at its latest change.
    """

    instance: str
    kind: str
    took: float | None = None
    segments: deque[tuple[float, str]] = field(default_factory=lambda: deque(maxlen=SEGMENTS))
    reason: str = ""
    changed: int = 0

    @property
    def gone(self) -> bool:
        """Whether it has ended."""
        return bool(self.segments) and self.segments[-1][1] == "gone"

    def change(self, event: InstanceChanged, gap: float) -> None:
        """Take in another state.

        Args:
            event: It.
            gap: A shorter idleness is let pass.
        """
        self.kind = event.kind
        if event.took is not None:
            self.took = event.took
        self.reason = event.reason or self.reason
        state = "idle" if event.state == "ready" else event.state
        if state == "busy" and self.segments and self.segments[-1][1] == "idle":
            if event.at - self.segments[-1][0] < gap and len(self.segments) > 1:
                self.segments.pop()
            if self.segments[-1][1] == "busy":
                return
        self.segments.append((event.at, state))

    def shown(self, since: float) -> dict[str, Any]:
        """What a reader lacks that has the states before a time."""
        return {
            "id": self.instance,
            "kind": self.kind,
            "took": self.took,
            "reason": self.reason,
            "since": since,
            "segments": [segment for segment in self.segments if segment[0] >= since],
        }


@dataclass
class Second:
    """The load of one second.

    Args:
        at: Its beginning, in the platform's time.
        arrived: Requests that came.
        failed: Answers with a status of 500 and above.
        refused: Requests that were refused.
        waiting: Most requests that waited at a time.
        batch: Most items of a batch.
    """

    at: float
    arrived: int = 0
    failed: int = 0
    refused: int = 0
    waiting: int = 0
    batch: int = 0

    def shown(self) -> list[float]:
        """As a row."""
        return [self.at, self.arrived, self.failed, self.refused, self.waiting, self.batch]


class Lane:
    """One function.

    Args:
        name: Its name.
        pace: Seconds of the platform's time in one of the wall's.
    """

    def __init__(self, name: str, pace: float = 1.0) -> None:
        self.name = name
        self.changed = 0
        """The journal's count at its latest change."""
        self.tracks: dict[str, Track] = {}
        self.seconds: deque[Second] = deque(maxlen=SECONDS)
        self.requests: deque[
            tuple[int, RequestArrived | None, RequestAnswered | RequestRefused]
        ] = deque(maxlen=REQUESTS)
        """Those that are over: the journal's count at their end, their arrival, and their end."""
        self.fires: deque[Fired] = deque(maxlen=FIRES)
        """The latest deliveries of its schedules."""
        self._pace = pace
        self._open: dict[int, RequestArrived] = {}

    def second(self, at: float) -> Second:
        """The load of the second that a time is in."""
        if not self.seconds or at >= self.seconds[-1].at + self._pace:
            self.seconds.append(Second(at - at % self._pace))
        return self.seconds[-1]

    def instance_changed(self, event: InstanceChanged) -> None:
        """An instance is in another state."""
        track = self.tracks.get(event.instance)
        if track is None:
            track = self.tracks[event.instance] = Track(event.instance, event.kind)
        track.change(event, GAP * self._pace)
        track.changed = self.changed
        if event.state == "gone":
            over = [name for name, each in self.tracks.items() if each.gone][:-GONE_TRACKS]
            for name in over:
                del self.tracks[name]

    def arrived(self, event: RequestArrived) -> None:
        """A request came in."""
        self._open[event.number] = event
        self.second(event.at).arrived += 1

    def answered(self, event: RequestAnswered) -> None:
        """A request has its answer."""
        second = self.second(event.at)
        if event.status >= 500:
            second.failed += 1
        if event.batch_size is not None and event.batch_size > second.batch:
            second.batch = event.batch_size
        self._keep(event)

    def refused(self, event: RequestRefused) -> None:
        """A request was refused."""
        self.second(event.at).refused += 1
        self._keep(event)

    def _keep(self, end: RequestAnswered | RequestRefused) -> None:
        asked = self._open.pop(end.number, None)
        self.requests.append((self.changed, asked, end))


def shown(asked: RequestArrived | None, end: RequestAnswered | RequestRefused) -> dict[str, Any]:
    """A request that is over, as the page is told of it. Times are in seconds."""
    request: dict[str, Any] = {
        "id": end.request_id,
        "method": asked.method if asked is not None else "",
        "path": asked.path if asked is not None else "",
        "at": end.at,
        "status": end.status,
    }
    if isinstance(end, RequestRefused):
        return {**request, "reason": end.reason}
    waited = (end.started or end.ended) - end.queued
    return {
        **request,
        "waited": round(waited, 6),
        "took": round(end.ended - end.queued, 6),
        "batch": end.batch_size,
        "size": end.size,
        "instance": end.instance,
        "start": end.start,
    }
