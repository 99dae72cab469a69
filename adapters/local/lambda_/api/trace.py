"""The trace that a caller's request belongs to."""

from __future__ import annotations

from bentofn.adapters.local.lambda_.offers import new_trace

HEADER = "X-Amzn-Trace-Id"


def trace_of(header: str | None) -> str:
    """The caller's trace, or a new one where it has none, or none that a header can hold."""
    return header if header and header.isascii() and header.isprintable() else new_trace()
