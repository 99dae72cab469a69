"""What makes traces of requests, as the code sees it through which the requests go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bentofn.adapters.local.journal.events import RequestArrived
from bentofn.adapters.local.timeline.timeline import Timeline


class Traces(Protocol):
    """Makes a trace of each request, of what the journal tells of it."""

    def begin(self, request: RequestArrived, headers: Mapping[str, str]) -> None:
        """A request has arrived.

        Args:
            request: It.
            headers: The caller's, which may name a trace that it belongs to.
        """

    def headers(self, number: int) -> Mapping[str, str]:
        """What the instance is told that gets a request: the trace, and whether it is kept."""

    def started(self, function: str, instance: str, timeline: Timeline) -> None:
        """An instance serves; the journal says so after this.

        Args:
            function: Whose it is.
            instance: Its name.
            timeline: Where the time of its start went.
        """
