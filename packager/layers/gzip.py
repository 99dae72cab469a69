"""Gzip on several cores: one member, the same bytes whatever the number of cores.

Every block is deflated with the end of the block before as its dictionary, as pigz does, so that
the blocks joined are one stream. https://www.rfc-editor.org/rfc/rfc1952
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

LEVEL = 6

_BLOCK = 1 << 20
_WINDOW = 1 << 15
_HEADER = struct.pack("<BBBBIBB", 0x1F, 0x8B, 8, 0, 0, 0, 0xFF)


class GzipWriter(io.RawIOBase):
    """Writes one gzip member without a name or a time; :meth:`close` ends it.

    Args:
        out: Where to write; it stays open.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._workers = min(8, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._workers)
        self._blocks: deque[Future[bytes]] = deque()
        self._open = bytearray()
        self._window = b""
        self._checksum, self._size = 0, 0
        out.write(_HEADER)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._checksum = zlib.crc32(data, self._checksum)
        self._size += len(data)
        self._open += data
        while len(self._open) > _BLOCK:
            self._submit(bytes(self._open[:_BLOCK]), zlib.Z_SYNC_FLUSH)
            del self._open[:_BLOCK]
        return len(data)

    def close(self) -> None:
        if self.closed:
            return
        try:
            self._submit(bytes(self._open), zlib.Z_FINISH)
            self._drain(0)
            self._out.write(struct.pack("<II", self._checksum, self._size & 0xFFFFFFFF))
        finally:
            self._pool.shutdown(cancel_futures=True)
            super().close()

    def _submit(self, block: bytes, flush: int) -> None:
        self._blocks.append(self._pool.submit(_deflate, block, self._window, flush))
        self._window = block[-_WINDOW:]
        self._drain(2 * self._workers)

    def _drain(self, most: int) -> None:
        while len(self._blocks) > most:
            self._out.write(self._blocks.popleft().result())


def _deflate(block: bytes, window: bytes, flush: int) -> bytes:
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=window)
    return compressor.compress(block) + compressor.flush(flush)
