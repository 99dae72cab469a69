"""The heads of requests: a request line and headers, whose names are in lower case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bentofn.runtime.http.exchange import Header

_SEPARATORS = 4
"""Bytes of a header beside its name and its value: a colon, a space and a line's end."""


def size(target: bytes, headers: Iterable[Header]) -> int:
    """About how many bytes a head has."""
    return len(target) + sum(len(name) + len(value) + _SEPARATORS for name, value in headers)


def written(method: bytes, target: bytes, version: str, headers: Iterable[Header]) -> bytes:
    """A head as it is sent."""
    lines = [b"%b %b HTTP/%b\r\n" % (method, target, version.encode())]
    lines += [b"%b: %b\r\n" % header for header in headers]
    return b"".join((*lines, b"\r\n"))


def asks_for_websocket(headers: Sequence[Header]) -> bool:
    """Whether a request that may be answered in another protocol is to become a websocket."""
    connection = b",".join([value for name, value in headers if name == b"connection"])
    tokens = [each.strip() for each in connection.lower().split(b",")]
    return b"upgrade" in tokens and dict(headers).get(b"upgrade", b"").lower() == b"websocket"
