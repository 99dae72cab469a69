"""What a process writes to its standard streams."""

from __future__ import annotations

import asyncio
import signal

from bentofn.adapters.local.engines.base import Log
from bentofn.adapters.local.engines.inbox import DRAIN
from bentofn.adapters.local.engines.logs import LogPipe
from bentofn.adapters.local.engines.sockets import Wires


class Output:
    """Where a process's lines go, and the last that it wrote to stderr."""

    def __init__(self, id_: str, log: Log) -> None:
        self._id = id_
        self._log = log
        self._pipes: list[LogPipe] = []
        self.last_error = ""

    async def follow(self, wires: Wires) -> None:
        """Read both streams until they end."""
        self._pipes = [
            await LogPipe.read(wires.stdout, lambda line: self._log(self._id, "stdout", line)),
            await LogPipe.read(wires.stderr, self._error_line),
        ]

    async def drained(self) -> None:
        """Wait a moment for the lines of a process that has ended."""
        if self._pipes:
            await asyncio.wait([pipe.ended for pipe in self._pipes], timeout=DRAIN)

    def warn(self, sentence: str) -> None:
        """Write a line of the platform's own beside the process's."""
        self._log(self._id, "platform", sentence)

    def _error_line(self, line: str) -> None:
        self.last_error = line.strip() or self.last_error
        self._log(self._id, "stderr", line)


def ended(status: int | None, output: Output) -> str:
    """The sentence for a process that ended without saying why."""
    if status is None:
        how = "its template ended"
    elif status < 0:
        how = f"signal {signal.Signals(-status).name} ended it"
    else:
        how = f"it exited with status {status}"
    return f"{output.last_error} ({how})" if output.last_error else f"{how} before it was ready"
