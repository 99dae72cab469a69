"""GGUF files of llama.cpp, which their readers map.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from bentofn.packager.modelstore.formats.base import Checked, not_whole
from bentofn.packager.modelstore.policy import Policy

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_ALIGNMENT = "general.alignment"
_LONGEST_NAME = 65_535
_MOST_DIMENSIONS = 4


class GGUF:
    """A ``.gguf`` file."""

    name = "gguf"
    mapped = True

    def detects(self, source: Path, start: bytes) -> bool:
        return start.startswith(_MAGIC) or source.suffix.lower() == ".gguf"

    def check(self, source: Path, policy: Policy) -> Checked:
        try:
            with source.open("rb") as file:
                size = source.stat().st_size
                least = _Reader(file, size).least_size()
        except (ValueError, struct.error) as error:
            raise not_whole(source, "GGUF file", str(error)) from error
        if size < least:
            raise not_whole(source, "GGUF file", f"it has {size} bytes, its tensors need more")
        return Checked()


class _Reader:
    """Walks through a header; whatever is larger than the file is refused before it is read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file = file
        self.size = size
        self.alignment = 32

    def least_size(self) -> int:
        """Bytes that the file must have for its last tensor to begin inside of it."""
        if self.file.read(4) != _MAGIC:
            raise ValueError("it does not start with GGUF")
        version, tensors, pairs = self.unpack("<IQQ")
        if version not in _VERSIONS:
            raise ValueError(f"version {version} is unknown")
        for _ in range(pairs):
            self.pair()
        last = max([self.tensor() for _ in range(self.bounded(tensors))], default=-1)
        start = self.file.tell()
        start += -start % self.alignment
        return start + last + 1

    def pair(self) -> None:
        key = self.string()
        (kind,) = self.unpack("<I")
        if key == _ALIGNMENT and kind == 4:
            (self.alignment,) = self.unpack("<I")
            if not self.alignment:
                raise ValueError("its alignment is 0")
            return
        self.value(kind)

    def value(self, kind: int) -> None:
        if kind == _STRING:
            self.skip(self.unpack("<Q")[0])
        elif kind == _ARRAY:
            of, count = self.unpack("<IQ")
            if of in _SIZES:
                self.skip(_SIZES[of] * count)
            elif of == _STRING:
                for _ in range(self.bounded(count)):
                    self.value(_STRING)
            else:
                raise ValueError(f"an array has type {of}")
        elif kind in _SIZES:
            self.skip(_SIZES[kind])
        else:
            raise ValueError(f"a value has type {kind}")

    def tensor(self) -> int:
        self.string()
        (dimensions,) = self.unpack("<I")
        if dimensions > _MOST_DIMENSIONS:
            raise ValueError(f"a tensor has {dimensions} dimensions")
        self.skip(8 * dimensions + 4)
        return int(self.unpack("<Q")[0])

    def string(self) -> str:
        (length,) = self.unpack("<Q")
        if length > _LONGEST_NAME:
            raise ValueError("a name is too long")
        return self.file.read(length).decode()

    def unpack(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.file.read(struct.calcsize(form)))

    def skip(self, count: int) -> None:
        if count > self.size - self.file.tell():
            raise ValueError("it ends in its header")
        self.file.seek(count, 1)

    def bounded(self, count: int) -> int:
        if count > self.size:
            raise ValueError("it counts more entries than it has bytes")
        return count
