"""When a process that has ended is started again."""

from __future__ import annotations

from dataclasses import dataclass

_FIRST, _LONGEST = 0.5, 30.0
"""Seconds until the second start in a row, and at most; each wait is twice the one before."""

_STEADY = 10.0
"""Seconds of life after which what came before is forgotten."""


@dataclass
class Backoff:
    """The starts of one process: at once after a long life, later and later after short ones."""

    _ended_early: int = 0
    _started: float = 0.0

    def started(self, now: float) -> None:
        """It was started."""
        self._started = now

    def ended(self, now: float) -> float:
        """It has ended; returns when to start it again."""
        if now - self._started >= _STEADY:
            self._ended_early = 0
        wait = _FIRST * 2 ** (self._ended_early - 1) if self._ended_early else 0.0
        self._ended_early = min(self._ended_early + 1, 16)
        return now + min(wait, _LONGEST)
