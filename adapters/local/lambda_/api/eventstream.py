"""Frames of ``application/vnd.amazon.eventstream``, in which a response is streamed to an SDK.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
import zlib

CONTENT_TYPE = "application/vnd.amazon.eventstream"
LARGEST_PIECE = 128 << 10
"""Bytes of a response that one frame carries; a frame may hold 16 MiB."""

_STRING = 7
"""The type of a header whose value is text."""


def frame(event: str, content_type: str, payload: bytes) -> bytes:
    """One event.

    Args:
        event: Its type, such as ``PayloadChunk``.
        content_type: The payload's.
        payload: What it carries.
    """
    headers = b"".join(
        _header(name, value)
        for name, value in (
            (":message-type", "event"),
            (":event-type", event),
            (":content-type", content_type),
        )
    )
    prelude = struct.pack("!II", len(headers) + len(payload) + 16, len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return bytes((len(key),)) + key + struct.pack("!BH", _STRING, len(text)) + text
