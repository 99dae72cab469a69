"""The trace that a request belongs to, told to the services that are called to answer it.

Source: https://www.w3.org/TR/trace-context/, https://www.w3.org/TR/baggage/
"""

from __future__ import annotations

import sys

from bentofn.runtime.context import current_context

_NAMES = (b"traceparent", b"tracestate", b"baggage")


def trace_headers() -> dict[str, str]:
    """Headers for a call that the running code makes; empty where it belongs to no trace.

    Where the service makes spans itself, by OpenTelemetry, they name the one that is open, else
    they are those of the request that is answered, in a batch the latest one's.
    """
    # Asked for only where somebody has imported it: most services have no use for it.
    if "opentelemetry.trace" in sys.modules:
        from opentelemetry import propagate, trace

        if trace.get_current_span().get_span_context().is_valid:
            told: dict[str, str] = {}
            propagate.inject(told)
            return told
    context = current_context.get(None)
    return {} if context is None else context.headers_named(_NAMES)
