"""One request's way into the journal."""

from __future__ import annotations

import time

from bentofn.adapters.local.journal.events import (
    GONE,
    RequestAnswered,
    RequestArrived,
    RequestAssigned,
    RequestQueued,
    RequestRefused,
)
from bentofn.adapters.local.journal.journal import Journal


class Record:
    """Tells the journal of one request, from its arrival to its one end.

    Args:
        journal: The journal.
        function: Whose request it is.
        request_id: What it is called.
        method: HTTP method.
        path: Path, without the query.
        size: Bytes of its body, as far as they are known.
    """

    __slots__ = (
        "_arrived",
        "_function",
        "_instance",
        "_journal",
        "_open",
        "_start",
        "_started",
        "batch_size",
        "request_id",
        "size",
    )

    def __init__(
        self, journal: Journal, function: str, request_id: str, method: str, path: str, size: int
    ) -> None:
        self.request_id = request_id
        self.batch_size: int | None = None
        self.size = 0
        """Bytes of the answer so far."""
        self._open = True
        self._started: float | None = None
        self._instance = ""
        self._start = ""
        self._journal = journal
        self._function = function
        self._arrived = time.monotonic()
        journal.publish(RequestArrived(journal.now(), function, request_id, method, path, size))

    def queued(self) -> None:
        """It waits for an instance."""
        now = self._journal.now()
        self._journal.publish(RequestQueued(now, self._function, self.request_id))

    def assigned(self, instance: str, start: str) -> None:
        """An instance gets it; ``start`` as in RequestAssigned."""
        self._started, self._instance, self._start = time.monotonic(), instance, start
        now = self._journal.now()
        self._journal.publish(
            RequestAssigned(now, self._function, self.request_id, instance, start)
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
        )
        self._journal.publish(event)

    def refused(self, status: int, reason: str) -> None:
        """It is over: the platform refused it; what is said of its end later is let pass."""
        if not self._open:
            return
        self._open = False
        now = self._journal.now()
        self._journal.publish(RequestRefused(now, self._function, self.request_id, status, reason))

    def close(self) -> None:
        """It is over; if nothing was said of its end, its caller has gone."""
        self.answered(GONE)
