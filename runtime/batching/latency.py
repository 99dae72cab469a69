"""How long a batch runs, by its size: learned from the batches that ran."""

from __future__ import annotations

import sys

_NEWEST = 0.04
"""Weight of the newest batch; those before it fade so that some fifty count, as in BentoML."""

_OUTLIER = 4.0
"""A batch counts as at most this many times its prediction: one pause is not a new speed."""

_SETTLED = 5
"""Batches from which on outliers can be told."""

_MARGIN = 2.0
"""Mean deviations added to a prediction."""


class LatencyModel:
    """A line through the batches' sizes and seconds, weighted towards the latest.

    It rises with the size and never starts below zero. The first batch teaches nothing: it often
    pays for what later ones find loaded.
    """

    def __init__(self) -> None:
        self.largest = 0
        self._count = -1
        self._size = self._seconds = 0.0
        self._variance = self._covariance = 0.0
        self._slope: float | None = None
        self._deviation = 0.0

    @property
    def known(self) -> bool:
        """Whether anything was learned."""
        return self._count > 0

    def observe(self, size: int, seconds: float) -> None:
        """Learn that a batch of ``size`` items ran for some seconds."""
        self._count += 1
        if not self.known:
            return
        self.largest = max(self.largest, size)
        if self._count > _SETTLED:
            seconds = min(seconds, _OUTLIER * self.predict(size))
        weight = max(1 / self._count, _NEWEST)
        off_size, off_seconds = size - self._size, seconds - self._seconds
        self._size += weight * off_size
        self._seconds += weight * off_seconds
        # Incremental weighted variance and covariance: West, Communications of the ACM 22 (1979).
        self._variance = (1 - weight) * (self._variance + weight * off_size * off_size)
        self._covariance = (1 - weight) * (self._covariance + weight * off_size * off_seconds)
        if self._variance > sys.float_info.epsilon:
            self._slope = self._covariance / self._variance
        self._deviation += weight * (abs(seconds - self._line(size)) - self._deviation)

    def predict(self, size: int) -> float:
        """Seconds that a batch of this size takes, a little more than on average; 0 if unknown."""
        return self._line(size) + _MARGIN * self._deviation if self.known else 0.0

    def largest_within(self, seconds: float) -> int:
        """The largest size that is predicted to take no longer than this; 0 if there is none."""
        if not self.known:
            return sys.maxsize
        spare = seconds - _MARGIN * self._deviation - self._seconds
        rise = self._rise(self._size if spare >= 0 else 0.0)
        if rise == 0:
            return sys.maxsize if spare >= 0 else 0
        return max(0, int(min(self._size + spare / rise, sys.maxsize)))

    def _rise(self, size: float) -> float:
        """Seconds for each item more: between none at all and all that a batch takes."""
        proportional = self._seconds / max(self._size, 1.0)
        if self._slope is None:
            # Only one size was seen: a smaller batch may take as long, a larger one no more than
            # in proportion.
            return proportional if size >= self._size else 0.0
        return min(max(self._slope, 0.0), proportional)

    def _line(self, size: float) -> float:
        return self._seconds + self._rise(size) * (size - self._size)
