"""One request's way into the journal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

from bentofn.adapters.local.journal.events import (
    GONE,
    RequestAnswered,
    RequestArrived,
    RequestAssigned,
    RequestQueued,
    RequestRefused,
)
from bentofn.adapters.local.journal.journal import Journal

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_LONGEST_PATH = 512
"""Letters of a path that are told: thousands of requests are remembered."""


class Record:
    """Tells the journal of one request, from its arrival to its one end.

    Args:
        journal: The journal.
        function: Whose request it is.
        request_id: What it is called.
        method: HTTP method.
        path: Path, without the query.
        size: Bytes of its body, as far as they are known.
        headers: The caller's, for the trace that they may name.
    """

    __slots__ = (
        "_arrived",
        "_function",
        "_instance",
        "_journal",
        "_number",
        "_open",
        "_start",
        "_started",
        "batch_size",
        "batch_took",
        "batch_waited",
        "request_id",
        "size",
    )

    def __init__(
        self,
        journal: Journal,
        function: str,
        request_id: str,
        method: str,
        path: str,
        size: int,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        self.request_id = request_id
        self.batch_size: int | None = None
        self.batch_waited: float | None = None
        self.batch_took: float | None = None
        self.size = 0
        """Bytes of the answer so far."""
        self._open = True
        self._started: float | None = None
        self._instance = ""
        self._start = ""
        self._journal = journal
        self._function = function
        self._arrived = time.monotonic()
        self._number = next(journal.numbers)
        arrived = RequestArrived(
            journal.now(), function, request_id, method, path[:_LONGEST_PATH], size, self._number
        )
        if journal.traces is not None:
            journal.traces.begin(arrived, headers)
        journal.publish(arrived)

    def trace_headers(self) -> Mapping[str, str]:
        """What tells an instance the trace that the request belongs to; nothing where none is made.

        What the caller told of a trace is for these to replace.
        """
        traces = self._journal.traces
        return NO_HEADERS if traces is None else traces.headers(self._number)

    def queued(self) -> None:
        """It waits for an instance."""
        now = self._journal.now()
        self._journal.publish(RequestQueued(now, self._function, self.request_id, self._number))

    def assigned(self, instance: str, start: str) -> None:
        """An instance gets it; ``start`` as in RequestAssigned."""
        self._started, self._instance, self._start = time.monotonic(), instance, start
        now = self._journal.now()
        self._journal.publish(
            RequestAssigned(now, self._function, self.request_id, instance, start, self._number)
        )

    def answered(self, status: int) -> None:
        """It is over, with an answer of this status; what is said of its end later is let pass."""
        if not self._open:
            return
        self._open = False
        event = RequestAnswered(
            self._journal.now(),
            self._function,
            self.request_id,
            status,
            self._arrived,
            self._started,
            time.monotonic(),
            self.batch_size,
            self.size,
            self._instance,
            self._start,
            self.batch_waited,
            self.batch_took,
            self._number,
        )
        self._journal.publish(event)

    def refused(self, status: int, reason: str) -> None:
        """It is over: the platform refused it; what is said of its end later is let pass."""
        if not self._open:
            return
        self._open = False
        now = self._journal.now()
        self._journal.publish(
            RequestRefused(now, self._function, self.request_id, status, reason, self._number)
        )

    def close(self) -> None:
        """It is over; if nothing was said of its end, its caller has gone."""
        self.answered(GONE)
