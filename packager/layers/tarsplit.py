"""tar-split: what a tar archive is besides the content of its files, to put it together again.

containers/storage fetches pieces of a zstd:chunked layer only if this stands behind it.
https://github.com/vbatts/tar-split/tree/v0.12.1/tar/storage
"""

from __future__ import annotations

import base64
import json
from typing import Any

_FILE, _SEGMENT = 1, 2
_ONES = (1 << 64) - 1


class TarSplit:
    """Notes an archive while it is written: its headers, and a checksum of each file."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._between = b""

    def header(self, data: bytes) -> None:
        """The next bytes are a header, all of it."""
        self._segment(self._between + data)
        self._between = b""

    def file(self, name: str, size: int, checksum: int) -> None:
        """Then comes an entry's content.

        Args:
            name: The entry's, as its header has it: a folder's ends with a slash.
            size: Bytes.
            checksum: From :func:`crc64`.
        """
        payload = _text(checksum.to_bytes(8, "big")) if size else None
        self._line({"type": _FILE, "name": name, "size": size, "payload": payload})

    def padding(self, data: bytes) -> None:
        """The next bytes are neither."""
        self._between += data

    def finish(self) -> bytes:
        """All of it, as JSON lines."""
        self._segment(self._between)
        return "".join(self._lines).encode()

    def _segment(self, data: bytes) -> None:
        self._line({"type": _SEGMENT, "payload": _text(data)})

    def _line(self, entry: dict[str, Any]) -> None:
        line = json.dumps({**entry, "position": len(self._lines)}, separators=(",", ":"))
        self._lines.append(f"{line}\n")


def crc64(data: bytes, before: int = 0) -> int:
    """CRC-64/GO-ISO: the remainder of the bytes, bits reversed, by x^64 + x^4 + x^3 + x + 1.

    Bits at degree 64 m and above are folded down at once, since x^(64 m) is x^(4 m) + x^(3 m) +
    x^m + 1 where m is a power of two: a few operations on a long number instead of one a byte.

    Args:
        data: The bytes.
        before: The checksum of what stands before them.
    """
    value = int.from_bytes(data, "little") ^ before ^ _ONES
    bits = 8 * len(data) + 64
    while bits > 64:
        m = 1 << ((bits - 1) // 64).bit_length() - 1
        folded = min(bits - 64 * m, 60 * m)
        high = value & ((1 << folded) - 1)  # the lowest bit has the highest degree
        value >>= folded
        bits -= folded
        shift = 64 * m - folded
        value ^= high << shift ^ high << shift - m ^ high << shift - 3 * m ^ high << shift - 4 * m
    return value ^ _ONES


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
