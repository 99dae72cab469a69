"""How much is kept of what a function prints.

A function that prints without end must cost the platform little: of each while's output only so
much is cut into lines and kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from bentofn.packager.lines import LineSplitter

LINES_PER_SECOND = 2_000
BYTES_PER_SECOND = 1 << 20


class Lines(Protocol):
    """Cuts output into lines."""

    def feed(self, data: bytes) -> list[str]:
        """Take what arrived; returns the lines that it completes."""

    def flush(self) -> list[str]:
        """Nothing more comes; returns the line that was left without its end, if any."""


class Budget:
    """How much of what is written is kept.

    Args:
        clock: Seconds.
        period: Seconds after which it begins anew; the longer, the more may come at once.
    """

    def __init__(self, clock: Callable[[], float], period: float = 1.0) -> None:
        self._clock = clock
        self._period = period
        self.dropped = 0
        self._begin(clock())

    @property
    def spent(self) -> bool:
        """Whether nothing more of this period is kept."""
        now = self._clock()
        if now >= self._ends:
            self._begin(now)
        return self._lines <= 0 or self._bytes <= 0

    def take(self, line: str) -> bool:
        """Whether a line is kept."""
        if self.spent:
            self.dropped += len(line) + 1
            return False
        self._lines -= 1
        self._bytes -= len(line) + 1
        return True

    def cut(self, data: bytes) -> bytes:
        """What of some output is worth being cut into lines, which costs more than its reading."""
        left = 0 if self.spent else self._lines
        rest = data.split(b"\n", left)[left:]
        if rest:
            self.dropped += len(rest[0])
            return data[: len(data) - len(rest[0])]
        return data

    def note(self) -> str:
        """A sentence about what was not kept since the last one; empty where all was."""
        dropped, self.dropped = self.dropped, 0
        return f"{dropped} more bytes were written here and are not kept" if dropped else ""

    def _begin(self, now: float) -> None:
        self._ends = now + self._period
        self._lines = round(LINES_PER_SECOND * self._period)
        self._bytes = round(BYTES_PER_SECOND * self._period)


class KeptOutput:
    """Delivers the lines of an output that its budget has room for.

    Args:
        lines: Cuts it into lines.
        budget: How much of them is kept.
        deliver: Called with each line that is.
    """

    def __init__(self, lines: Lines, budget: Budget, deliver: Callable[[str], None]) -> None:
        self._lines = lines
        self._budget = budget
        self._deliver = deliver

    def feed(self, data: bytes) -> None:
        """Take what arrived."""
        kept = self._budget.cut(data) if isinstance(self._lines, LineSplitter) else data
        self._keep(self._lines.feed(kept))

    def flush(self) -> None:
        """Nothing more comes."""
        self._keep(self._lines.flush())
        self.say_what_was_dropped()

    @property
    def lacks(self) -> bool:
        """Whether something was dropped, and nothing said of it yet."""
        return self._budget.dropped > 0

    def say_what_was_dropped(self) -> None:
        """Deliver a line about it, if something was."""
        if note := self._budget.note():
            self._deliver(note)

    def _keep(self, lines: Sequence[str]) -> None:
        if lines and not self._budget.spent:
            self.say_what_was_dropped()
        for index, line in enumerate(lines):
            if not self._budget.take(line):
                rest = lines[index + 1 :]
                self._budget.dropped += sum(map(len, rest)) + len(rest)
                return
            self._deliver(line)
