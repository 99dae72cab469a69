"""What an instance and the keeper say to each other: one request and one answer a connection.

Both are a line of JSON; the file comes along as an open descriptor, so that nobody gets what he may
not read. When the keeper hangs up it does nothing more for the request.
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

COPIED = b'{"copied":true}\n'
NOT_KEPT = b'{"copied":false}\n'

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
    def decode(cls, line: bytes) -> Request:
        """Read a request.

        Raises:
            ValueError: It is none; the message is a sentence.
        """
        try:
            raw = json.loads(line)
            handle = bytes.fromhex(raw["handle"])
            ranges = [Range(*each) for each in raw["ranges"]]
            numbers = [raw["offset"], *(number for each in ranges for number in each)]
            is_valid = (
                isinstance(raw["gpu"], str)
                and len(handle) == _HANDLE
                and len(ranges) <= MOST_RANGES
                and all(type(number) is int and number >= 0 for number in numbers)
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            is_valid = False
        if not is_valid:
            raise ValueError(
                "The request is not one of bentofn's; use the same version on both sides."
            )
        return cls(raw["gpu"], handle, raw["offset"], ranges)

    def check(self, file: int, allocation: int) -> None:
        """Check that nothing is read behind the file's end or written behind the allocation's.

        Args:
            file: Bytes of the file.
            allocation: Bytes of the allocation.

        Raises:
            ValueError: Something would be; the message is a sentence.
        """
        end = max((each.offset + each.length for each in self.ranges), default=0)
        if end > file:
            raise ValueError(f"The request is for byte {end} of a file of {file} bytes.")
        end = self.offset + max((each.to + each.length for each in self.ranges), default=0)
        if end > allocation:
            raise ValueError(
                f"The request is for byte {end} of an allocation of {allocation} bytes."
            )


def refusal(why: str) -> bytes:
    """The answer to what cannot be done.

    Args:
        why: A sentence.
    """
    return json.dumps({"copied": False, "error": why}).encode() + b"\n"


def receive_line(connection: socket.socket, start: bytes = b"") -> bytes:
    """The line that comes.

    Raises:
        OSError: The other side is gone or is silent for too long.
        ValueError: It is too long; the message is a sentence.
    """
    line = bytearray(start)
    while not line.endswith(b"\n"):
        part = connection.recv(1 << 16)
        if not part:
            raise ConnectionError("the connection was closed")
        line += part
        if len(line) > _LONGEST:
            raise ValueError(f"The request is longer than {_LONGEST} bytes.")
    return bytes(line)


def is_trusted(connection: socket.socket) -> bool:
    """Whether the other side is of the same user, or root."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(raw)
    return user in (0, os.geteuid())
