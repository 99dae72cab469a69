"""A process's output, line by line, as much of it as is kept."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from bentofn.adapters.local.kept_output import Budget, KeptOutput
from bentofn.packager.lines import LineSplitter

PERIOD = 10.0
"""Seconds over which the output that is kept is counted: a burst of tracebacks is not cut."""


class LogPipe(asyncio.Protocol):
    """Reads a pipe and delivers its lines.

    Args:
        deliver: Called with each line.
    """

    def __init__(self, deliver: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._output = KeptOutput(LineSplitter(), Budget(self._loop.time, PERIOD), deliver)
        self._note: asyncio.TimerHandle | None = None
        self.ended = self._loop.create_future()

    @classmethod
    async def read(cls, fd: int, deliver: Callable[[str], None]) -> LogPipe:
        """Read a descriptor, which is closed at its end."""
        loop = asyncio.get_running_loop()
        _, pipe = await loop.connect_read_pipe(lambda: cls(deliver), os.fdopen(fd, "rb", 0))
        return pipe

    def data_received(self, data: bytes) -> None:
        """Deliver the lines that are complete."""
        self._output.feed(data)
        if self._output.lacks and self._note is None:
            self._note = self._loop.call_later(1.0, self._say_what_was_dropped)

    def connection_lost(self, exc: Exception | None) -> None:
        """Deliver what is left."""
        self._output.flush()
        if self._note is not None:
            self._note.cancel()
        if not self.ended.done():
            self.ended.set_result(None)

    def _say_what_was_dropped(self) -> None:
        self._note = None
        self._output.say_what_was_dropped()
