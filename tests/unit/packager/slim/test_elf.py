"""The check that decides whether a stripped library still loads."""

from __future__ import annotations

import struct
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.packager.slim.elf import SHARED_OBJECT, ElfError, Segment, read_elf

LOAD, DYNAMIC = 1, 2


def elf(
    *segments: tuple[int, int, int, int], wide: bool = True, little: bool = True, start: int = 64
) -> bytes:
    """A file with program headers (kind, offset, address, alignment) at ``start``."""
    order = "<" if little else ">"
    size = 56 if wide else 32
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if little else 2, 1]) + bytes(9)
    words = "QQQ" if wide else "III"
    header = ident + struct.pack(
        f"{order}HHI{words}IHHHHHH", SHARED_OBJECT, 62, 1, 0, start, 0, 0, 64, size,
        len(segments), 0, 0, 0,
    )  # fmt: skip
    body = b""
    for kind, offset, address, alignment in segments:
        if wide:
            body += struct.pack(f"{order}IIQQQQQQ", kind, 5, offset, address, 0, 1, 1, alignment)
        else:
            body += struct.pack(f"{order}IIIIIIII", kind, offset, address, 0, 1, 1, 5, alignment)
    return header.ljust(start, b"\0") + body


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("start", [64, 5000])
def test_segments_of_every_kind_of_file(wide: bool, little: bool, start: int) -> None:
    data = elf(
        (LOAD, 0x1000, 0x401000, 0x1000),
        (DYNAMIC, 1, 2, 8),
        (LOAD, 0x2DE8, 0x3DE8, 0x1000),
        wide=wide, little=little, start=start,
    )  # fmt: skip
    found = read_elf(data)
    assert found.kind == SHARED_OBJECT
    assert found.segments == (
        Segment(0x1000, 0x401000, 0x1000),
        Segment(0x2DE8, 0x3DE8, 0x1000),
    )
    assert found.is_aligned


@pytest.mark.parametrize(
    ("offset", "address", "alignment", "aligned"),
    [
        (0, 0, 0, True),
        (5, 3, 1, True),
        (0x1008, 0x2008, 0x1000, True),
        (0x1010, 0x2008, 0x1000, False),
        (0x1000, 0x2000, 0x10000, False),
    ],
)
def test_alignment(offset: int, address: int, alignment: int, aligned: bool) -> None:
    good = (LOAD, 0, 0, 0x1000)
    assert read_elf(elf(good, (LOAD, offset, address, alignment))).is_aligned is aligned


@given(st.binary(max_size=400))
def test_any_bytes_are_an_elf_file_or_refused(tail: bytes) -> None:
    for data in (tail, b"\x7fELF" + tail, elf((LOAD, 0, 0, 1))[: len(tail)], elf()[:40] + tail):
        with suppress(ElfError):
            read_elf(data)


@given(st.data())
def test_any_damage_is_refused_or_read(data: st.DataObject) -> None:
    whole = bytearray(elf((LOAD, 0, 0, 0x1000), (LOAD, 0x1000, 0x2000, 0x1000)))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(4, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ElfError):
        read_elf(bytes(whole))


@pytest.mark.skipif(sys.platform != "linux", reason="ELF")
def test_a_real_program_is_aligned() -> None:
    with open(sys.executable, "rb") as file:  # noqa: PTH123
        assert read_elf(file.read()).is_aligned
