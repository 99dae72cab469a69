"""What a runtime writes: lines of its standard output, and frames of its telemetry descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable

from bentofn.adapters.local.kept_output import Budget, KeptOutput, Lines

TAIL = 4096
"""Bytes of a log tail. Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""

_CHUNK = 1 << 16
_DRAINED = 64
"""Chunks that are read at most when everything is to be read that was written."""

_FRAME = 16
_FRAMES = (0xA55A0000, 0xFFFF0000)
"""What a frame's type begins with; the rest says whether it is text or JSON, and its level."""
_MARK = b"\xa5\x5a"
MAX_FRAME = 1 << 20


class Tail:
    """The last bytes of a log."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._size = 0

    def add(self, line: str) -> None:
        """A line was written."""
        raw = line.encode(errors="replace") + b"\n"
        self._lines.append(raw)
        self._size += len(raw)
        while self._size - len(self._lines[0]) >= TAIL:
            self._size -= len(self._lines.popleft())

    def read(self) -> bytes:
        """Its last 4 KiB."""
        return b"".join(self._lines)[-TAIL:]


class Frames:
    """Cuts what comes through a telemetry descriptor into its messages.

    Source: ``FramedTelemetryLogSink`` of awslambdaric.
    """

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[str]:
        """Take what arrived; returns the lines of the messages that it completes.

        What is no frame is let pass up to where one begins.
        """
        data = self._pending + data
        messages: list[str] = []
        at = 0
        while len(data) - at >= _FRAME:
            kind = int.from_bytes(data[at : at + 4], "big")
            end = at + _FRAME + int.from_bytes(data[at + 4 : at + 8], "big")
            if kind & _FRAMES[1] != _FRAMES[0] or end - at > MAX_FRAME:
                start = data.find(_MARK, at + 1)
                at = start if start >= 0 else len(data) - 1
                continue
            if end > len(data):
                break
            message = data[at + _FRAME : end].decode(errors="replace")
            messages += message.removesuffix("\n").split("\n")
            at = end
        self._pending = data[at:]
        return messages

    def flush(self) -> list[str]:
        """Nothing more comes; half a message is none."""
        self._pending = b""
        return []


class Pipe:
    """Reads a descriptor and delivers its lines.

    Args:
        fd: It is closed at its end.
        lines: Cuts it into lines.
        budget: How much of them is kept.
        deliver: Called with each line that is.
    """

    def __init__(
        self,
        fd: int,
        lines: Lines,
        budget: Budget,
        deliver: Callable[[str], None],
    ) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._output = KeptOutput(lines, budget, deliver)
        self._open = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._read)

    def drain(self) -> None:
        """Read what has been written, up to some megabytes."""
        for _ in range(_DRAINED):
            if not (self._open and self._read()):
                break
        self._output.say_what_was_dropped()

    def close(self) -> None:
        """Read what has been written, and no more."""
        self.drain()
        self._end()

    def _read(self) -> bool:
        """Read once; whether there may be more."""
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._end()
            return False
        self._output.feed(data)
        return len(data) == _CHUNK

    def _end(self) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._fd)
        self._output.flush()
        with contextlib.suppress(OSError):
            os.close(self._fd)
