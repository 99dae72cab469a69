"""Reading protobuf messages without their schema, of which a few fields are enough here.

Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

_VARINT, _I64, _LEN, _I32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class Malformed(ValueError):  # noqa: N818 - it is what the message is
    """The bytes are no protobuf message."""


def open_message(path: Path) -> memoryview:
    """A file's bytes, mapped for as long as anything of them is held.

    Raises:
        Malformed: The file is empty.
    """
    if not path.stat().st_size:
        raise Malformed("it is empty")
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a message in order: number, and integer or bytes.

    Args:
        message: The message's bytes; nothing of it is copied.

    Raises:
        Malformed: They are no message.
    """
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise Malformed("a field has no number")
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == _LEN:
            size, at = _varint(message, at)
        elif kind in (_I64, _I32):
            size = 8 if kind == _I64 else 4
        else:
            raise Malformed(f"a field has wire type {kind}")
        if size > len(message) - at:
            raise Malformed("it ends in the middle of a field")
        yield number, message[at : at + size]
        at += size


def submessages(message: memoryview, *numbers: int) -> Iterator[memoryview]:
    """The fields of some numbers that are messages, strings or bytes.

    Raises:
        Malformed: The bytes are no message, or one of the fields is a number.
    """
    for number, value in fields(message):
        if number in numbers:
            if isinstance(value, int):
                raise Malformed(f"field {number} is a number")
            yield value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for index in range(_LONGEST_VARINT):
        if at + index >= len(message):
            raise Malformed("it ends in the middle of a number")
        byte = message[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise Malformed("a number is too long")
