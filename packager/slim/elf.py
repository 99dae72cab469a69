"""What strip may do to a shared object that the dynamic loader then refuses.

Layout: https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

SHARED_OBJECT = 3
"""``ET_DYN``."""

_LOAD = 1
_MOST_HEADERS = 0xFFFF


class ElfError(ValueError):
    """The bytes are not an ELF file, or its headers lead out of it."""


@dataclass(frozen=True)
class Segment:
    """A part of the file that is mapped into memory, ``PT_LOAD``.

    Args:
        offset: Where it starts in the file, in bytes.
        address: Where it starts in memory.
        alignment: Of both, in bytes.
    """

    offset: int
    address: int
    alignment: int

    @property
    def is_aligned(self) -> bool:
        """Whether a loader can map it: the rule of ``PT_LOAD`` in the ELF specification."""
        return self.alignment <= 1 or (self.offset - self.address) % self.alignment == 0


@dataclass(frozen=True)
class Elf:
    """The headers of an ELF file.

    Args:
        kind: ``e_type``; :data:`SHARED_OBJECT` for what is of interest here.
        segments: Its loaded segments.
    """

    kind: int
    segments: tuple[Segment, ...]

    @property
    def is_aligned(self) -> bool:
        """Whether the dynamic loader can map it."""
        return all(segment.is_aligned for segment in self.segments)


def read_elf(data: bytes) -> Elf:
    """Read the headers of an ELF file.

    Args:
        data: The file, or so much of it that its program headers are in it.

    Raises:
        ElfError: It is none, or its headers are not in ``data``.
    """
    if len(data) < 20 or data[:4] != b"\x7fELF" or data[4] not in (1, 2) or data[5] not in (1, 2):
        raise ElfError("no ELF header")
    wide, order = data[4] == 2, "<" if data[5] == 1 else ">"
    try:
        (kind,) = struct.unpack_from(f"{order}H", data, 16)
        if wide:
            (start,) = struct.unpack_from(f"{order}Q", data, 32)
            size, count = struct.unpack_from(f"{order}HH", data, 54)
        else:
            (start,) = struct.unpack_from(f"{order}I", data, 28)
            size, count = struct.unpack_from(f"{order}HH", data, 42)
        if count == _MOST_HEADERS:
            raise ElfError("too many program headers")
        found = [_segment(data, start + index * size, order, wide) for index in range(count)]
    except struct.error as error:
        raise ElfError("the headers lead out of the file") from error
    return Elf(kind, tuple(segment for segment in found if segment is not None))


def _segment(data: bytes, start: int, order: str, wide: bool) -> Segment | None:
    if start > len(data):
        raise ElfError("the headers lead out of the file")
    if wide:
        kind, _, offset, address, *_, alignment = struct.unpack_from(
            f"{order}IIQQQQQQ", data, start
        )
    else:
        kind, offset, address, *_, alignment = struct.unpack_from(f"{order}IIIIIIII", data, start)
    return Segment(offset, address, alignment) if kind == _LOAD else None
