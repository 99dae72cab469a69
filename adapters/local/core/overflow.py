"""What becomes of requests that find no instance: they wait so long, or are refused so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class OverflowRules:
    """A platform's rule for requests that cannot be taken at once.

    Args:
        queue_limit: Requests that may wait.
        status: HTTP status of one that may not, or that waited too long.
        counts: Which ones the limit counts: ``all`` that wait, or only the ``excess`` for which
            no instance may be started.
        wait: Seconds that a request may wait, whatever happens.
        wait_least: Seconds that it may wait where
        wait_starts: times the average start of an instance is less. 0 leaves ``wait`` alone.
        at_zero: Whether a request waits for the first instance, or is refused.
        code: What the backend calls the refusal, in a word.
        body: What it answers, as text in which ``{code}`` stands for that; empty for the
            platform's own sentence.
        content_type: Of that body.
        headers: Headers of the answer.
    """

    queue_limit: int
    status: int = 503
    counts: Literal["all", "excess"] = "all"
    wait: float = math.inf
    wait_least: float = 0.0
    wait_starts: float = 0.0
    at_zero: Literal["wait", "refuse"] = "wait"
    code: str = ""
    body: str = ""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def answer(self) -> str:
        """What the backend answers; empty for the platform's own sentence."""
        return self.body.replace("{code}", self.code)

    def patience(self, average_start: float | None, *, starting: bool) -> float:
        """Seconds that a request may wait.

        Args:
            average_start: What a start took, on average, in seconds; None before the first.
            starting: Whether an instance is being started.
        """
        if not self.wait_starts:
            return self.wait
        if average_start is None:
            # How long the first start takes is not known before it is over.
            return self.wait if starting else min(self.wait, self.wait_least)
        return min(self.wait, max(self.wait_least, self.wait_starts * average_start))
