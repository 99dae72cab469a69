"""A process's output, line by line."""

from __future__ import annotations

MAX_LINE = 1 << 16
"""Bytes of a line; a longer one is delivered in pieces."""


class LineSplitter:
    """Cuts what a stream delivers into lines. Undecodable bytes are replaced."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._pending = b""

    def feed(self, data: bytes) -> list[str]:
        """Take what arrived; returns the lines that it completes."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        pieces = [piece for line in lines for piece in self._cut(line.removesuffix(b"\r"))]
        if len(self._pending) > self._limit:
            *full, self._pending = self._cut(self._pending)
            pieces += full
        return [piece.decode(errors="replace") for piece in pieces]

    def flush(self) -> list[str]:
        """The stream has ended; returns the line that was left without its end, if any."""
        rest, self._pending = self._pending, b""
        return [rest.decode(errors="replace")] if rest else []

    def _cut(self, line: bytes) -> list[bytes]:
        return [line[i : i + self._limit] for i in range(0, len(line), self._limit)] or [b""]
