"""What a level or a count was over the last while, in buckets of time."""

from __future__ import annotations

import math
from collections import deque


class Buckets:
    """The average of what was recorded over a window of time, in buckets.

    Over a part of the window, where the first record was made within it: a function that has just
    begun is judged by what there is. Buckets that were skipped count as 0. Values of one bucket
    are added up.

    Args:
        window: Seconds.
        granularity: Seconds of one bucket.
    """

    def __init__(self, window: float, granularity: float = 1.0) -> None:
        self.seconds = window
        self._size = math.ceil(window / granularity)
        self._granularity = granularity
        self._values = [0.0] * self._size
        self._first: int | None = None
        self._last: int | None = None

    def record(self, now: float, value: float) -> None:
        """Add to the bucket of this time; what is older than the window is let pass."""
        index = math.floor(now / self._granularity)
        if self._last is None or self._first is None or index - self._last >= self._size:
            self._values = [0.0] * self._size
            self._first = self._last = index
        elif index <= self._last - self._size:
            return
        for skipped in range(self._last + 1, index + 1):
            self._values[skipped % self._size] = 0.0
        self._last = max(self._last, index)
        self._first = min(self._first, index)
        self._values[index % self._size] += value

    def average(self, now: float) -> float:
        """The average up to now; 0 where nothing was recorded for a whole window."""
        if self._last is None or self._first is None:
            return 0.0
        age = max(0, math.floor(now / self._granularity) - self._last)
        if age >= self._size:
            return 0.0
        valid = min(self._last - self._first + 1, self._size - age)
        total = sum(self._values[(self._last - i) % self._size] for i in range(self._size - age))
        return round(total / valid, 6)


class Level:
    """Turns a level that changes at any time into its average of each second, for buckets.

    Args:
        windows: Where the averages are recorded.
    """

    def __init__(self, *windows: Buckets) -> None:
        self._windows = windows
        self._reach = max(math.ceil(window.seconds) for window in windows)
        self._level: float | None = None
        self._area = 0.0
        self._since = 0.0

    def change(self, level: float | None, now: float) -> None:
        """The level is this from now on; None says that there is none, and records nothing."""
        self.advance(now)
        if self._level is None:
            self._since, self._area = now, 0.0
        self._level = level

    def advance(self, now: float) -> None:
        """Record every second that is over, as far back as a window reaches."""
        if self._level is None:
            return
        second = math.floor(self._since)
        while now >= second + 1:
            self._area += self._level * (second + 1 - self._since)
            for window in self._windows:
                window.record(second, self._area)
            # A level that lasts for longer than a window fills it; what was before is forgotten.
            second = max(second + 1, math.floor(now) - self._reach)
            self._area, self._since = 0.0, float(second)
        self._area += self._level * (now - self._since)
        self._since = now


class Maximum:
    """The largest of what was recorded over a window of time, in buckets.

    Args:
        window: Seconds.
        granularity: Seconds of one bucket.
    """

    def __init__(self, window: float, granularity: float) -> None:
        self._size = math.ceil(window / granularity)
        self._granularity = granularity
        self._falling: deque[tuple[int, int]] = deque()

    def record(self, now: float, value: int) -> int:
        """Record a value, and return the largest of the window that ends now."""
        index = math.floor(now / self._granularity)
        while self._falling and self._falling[0][0] <= index - self._size:
            self._falling.popleft()
        while self._falling and self._falling[-1][1] <= value:
            self._falling.pop()
        self._falling.append((index, value))
        return self._falling[0][1]
