"""What an instance and the keeper say to each other: one request and one answer a connection.

Both are a line of JSON; the file comes along as an open descriptor, so that nobody gets what he may
not read.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from bentofn.runtime.weights.plan import Range

VARIABLE = "BENTOFN_WEIGHTS_KEEPER"
"""Path of the keeper's socket; without it files are loaded plainly."""

MOST_RANGES = 4096
_LONGEST = 1 << 20
_HANDLE = 64
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True)
class Request:
    """Copy parts of a file to a GPU.

    Args:
        gpu: Its name: ``GPU-`` and its UUID.
        handle: An allocation there, as the driver names it to other processes.
        offset: Bytes into the allocation at which the buffer begins.
        ranges: What goes where in the buffer.
    """

    gpu: str
    handle: bytes
    offset: int
    ranges: Sequence[Range]

    def encode(self) -> bytes:
        """The request as a line."""
        document = {
            "gpu": self.gpu,
            "handle": self.handle.hex(),
            "offset": self.offset,
            "ranges": [list(each) for each in self.ranges],
        }
        return json.dumps(document, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes, size: int) -> Request:
        """Read a request.

        Args:
            line: What came.
            size: Bytes of the file.

        Raises:
            ValueError: It is none, or asks for what the file has not.
        """
        try:
            raw = json.loads(line)
            handle = bytes.fromhex(raw["handle"])
            ranges = [Range(*each) for each in raw["ranges"]]
            numbers = [raw["offset"], *(number for each in ranges for number in each)]
            if not isinstance(raw["gpu"], str) or len(handle) != _HANDLE:
                raise ValueError("gpu, handle")
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError("no request") from error
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise ValueError("offsets")
        if len(ranges) > MOST_RANGES or any(each.offset + each.length > size for each in ranges):
            raise ValueError("ranges")
        return cls(raw["gpu"], handle, raw["offset"], ranges)


def receive_line(connection: socket.socket, start: bytes = b"") -> bytes:
    """The line that comes.

    Raises:
        OSError: The other side is gone or is silent for too long.
        ValueError: It is too long.
    """
    line = bytearray(start)
    while not line.endswith(b"\n"):
        part = connection.recv(1 << 16)
        if not part:
            raise ConnectionError("the connection was closed")
        line += part
        if len(line) > _LONGEST:
            raise ValueError("too long")
    return bytes(line)


def is_trusted(connection: socket.socket) -> bool:
    """Whether the other side is of the same user, or root."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(raw)
    return user in (0, os.geteuid())
