from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from bentofn.runtime.context import Context, current_context
from bentofn.runtime.trace_context import trace_headers

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@contextmanager
def request(**headers: str) -> Iterator[None]:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    token = current_context.set(Context({"type": "http", "headers": raw}, b"", {}))
    try:
        yield
    finally:
        current_context.reset(token)


def test_a_requests_trace_is_passed_on_and_nothing_else_of_it() -> None:
    with request(traceparent=PARENT, tracestate="a=1", baggage="b=2", cookie="secret"):
        told = trace_headers()
    assert told == {"traceparent": PARENT, "tracestate": "a=1", "baggage": "b=2"}


def test_outside_of_a_request_there_is_none() -> None:
    assert trace_headers() == {}


def test_a_span_of_the_services_own_comes_before_the_requests() -> None:
    context = SpanContext(1, 2, is_remote=False, trace_flags=TraceFlags(1))
    with request(traceparent=PARENT), trace.use_span(NonRecordingSpan(context)):
        assert trace_headers() == {"traceparent": f"00-{1:032x}-{2:016x}-01"}
