"""A process's output, line by line."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from bentofn.packager.lines import LineSplitter


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
