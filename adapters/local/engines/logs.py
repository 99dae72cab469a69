"""A process's output, line by line."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

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


class LogPipe(asyncio.Protocol):
    """Reads a pipe and delivers its lines.

    Args:
        deliver: Called with each line.
    """

    def __init__(self, deliver: Callable[[str], None]) -> None:
        self._deliver = deliver
        self._splitter = LineSplitter()
        self.ended = asyncio.get_running_loop().create_future()

    @classmethod
    async def read(cls, fd: int, deliver: Callable[[str], None]) -> LogPipe:
        """Read a descriptor, which is closed at its end."""
        loop = asyncio.get_running_loop()
        _, pipe = await loop.connect_read_pipe(lambda: cls(deliver), os.fdopen(fd, "rb", 0))
        return pipe

    def data_received(self, data: bytes) -> None:
        """Deliver the lines that are complete."""
        for line in self._splitter.feed(data):
            self._deliver(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Deliver what is left."""
        for line in self._splitter.flush():
            self._deliver(line)
        if not self.ended.done():
            self.ended.set_result(None)
