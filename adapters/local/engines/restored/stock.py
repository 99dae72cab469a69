"""How many CRIU workers are kept primed: few when it is quiet, more while starts come in bursts."""

from __future__ import annotations

from dataclasses import dataclass

CALM = 30.0
"""Seconds without a shortage after which fewer are kept."""


@dataclass
class Stock:
    """Decides; times are in seconds on any clock that does not go back.

    Args:
        least: Kept always.
        most: Kept at most.
    """

    least: int = 2
    most: int = 16

    def __post_init__(self) -> None:
        self._wanted = self.least
        self._short_at = 0.0

    def taken(self, left: int, now: float) -> None:
        """A worker was taken, or would have been.

        Args:
            left: How many primed ones are left.
            now: The time.
        """
        if left == 0:
            self._wanted = min(self.most, self._wanted * 2)
            self._short_at = now

    def wanted(self, now: float) -> int:
        """How many should be primed now."""
        while self._wanted > self.least and now - self._short_at >= CALM:
            self._wanted = max(self.least, self._wanted // 2)
            self._short_at += CALM
        return self._wanted
