"""Compressed streams, unpacked as they are read: by gzip, bz2, xz, LZMA, or zlib as joblib does."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, Any, TypeAlias

Reader: TypeAlias = "io.BufferedReader[Any]"

MAX_UNPACKED = 1 << 34
"""Bytes of a stream that are read at most."""

_OPENERS: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
    (b"\x5d\x00\x00", lzma.LZMAFile),
    (b"x\x01", lambda file: _Inflated(file)),
    (b"x^", lambda file: _Inflated(file)),
    (b"x\x9c", lambda file: _Inflated(file)),
    (b"x\xda", lambda file: _Inflated(file)),
)


def is_packed(start: bytes) -> bool:
    """Whether a file that starts so may be a compressed stream."""
    return any(start.startswith(magic) for magic, _ in _OPENERS)


def open_unpacked(file: IO[bytes]) -> Reader:
    """Read on from where a file stands, unpacked if it is compressed."""
    reader = io.BufferedReader(_Bounded(file))
    start = reader.peek(8)
    opener = next((each for magic, each in _OPENERS if start.startswith(magic)), None)
    return reader if opener is None else io.BufferedReader(_Bounded(opener(reader)))


class _Inflated:
    """One zlib stream."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.inflate = zlib.decompressobj()

    def read(self, size: int) -> bytes:
        while not self.inflate.eof:
            data = self.inflate.unconsumed_tail or self.file.read(1 << 16)
            if not data:
                raise EOFError
            if found := self.inflate.decompress(data, size):
                return found
        return b""


class _Bounded(io.RawIOBase):
    """A file that can only be read on, and to a bound, whatever it would unpack to."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.left = MAX_UNPACKED

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(min(len(buffer), self.left))
        self.left -= len(data)
        buffer[: len(data)] = data
        return len(data)
