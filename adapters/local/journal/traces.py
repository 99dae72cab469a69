"""What makes traces of requests, as the code sees it through which the requests go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Traces(Protocol):
    """Makes a trace of each request, of what the journal tells of it."""

    def begin(
        self, function: str, request_id: str, method: str, path: str, headers: Mapping[str, str]
    ) -> int:
        """A request has arrived.

        Args:
            function: Whose it is.
            request_id: What it is called.
            method: HTTP method.
            path: Path, without the query.
            headers: The caller's, which may name a trace that this one belongs to.

        Returns:
            Its number, which the events about it hold; never 0.
        """

    def headers(self, number: int) -> Mapping[str, str]:
        """What the instance is told that gets the request: the trace, and whether it is kept."""
