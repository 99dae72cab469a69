"""Read a stream in a thread of its own: the next bytes are unpacked while the last are written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

if TYPE_CHECKING:
    from concurrent.futures import Executor

_AHEAD = 4 << 20
"""Bytes that are read ahead."""


@contextmanager
def read_ahead(stream: BinaryIO) -> Iterator[BinaryIO]:
    """A stream whose next bytes are being read; afterwards nothing reads the former any more.

    Reading raises what reading the stream raised.
    """
    # Here, because its import costs more than finding that nothing is to be unpacked.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as reader:
        yield cast("BinaryIO", _ReadAhead(stream, reader))


class _ReadAhead(io.RawIOBase):
    def __init__(self, stream: BinaryIO, reader: Executor) -> None:
        self._stream = stream
        self._reader = reader
        self._next = reader.submit(stream.read, _AHEAD)
        self._read = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._read:
            self._read = memoryview(self._next.result())
            if self._read:
                self._next = self._reader.submit(self._stream.read, _AHEAD)
        size = min(len(buffer), len(self._read))
        buffer[:size] = self._read[:size]
        self._read = self._read[size:]
        return size
