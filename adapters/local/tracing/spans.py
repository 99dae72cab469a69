"""The spans of a request: request, queue, restore or start and its stages, inference, batch.

Each function is a service of its own in the traces (``service.name``), unless a variable names one.
Attributes are those of the semantic conventions where these have them. Source:
https://opentelemetry.io/docs/specs/semconv/http/http-spans/,
https://opentelemetry.io/docs/specs/semconv/faas/faas-spans/
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.util.types import Attributes

from bentofn.adapters.local.journal.events import (
    InstanceChanged,
    RequestAnswered,
    RequestArrived,
    RequestAssigned,
    RequestQueued,
    RequestRefused,
)
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.timeline.timeline import Timeline

TIMED = "X-Bentofn-Timed"
"""Header that asks an instance to say how long a batch took."""

_PATIENCE = 2.0
"""Seconds that the platform's end waits for the last spans to be sent."""


@dataclass
class _Request:
    """What is being traced of a request.

    Args:
        tracer: The function's.
        context: What the request's own spans are children in.
        span: From arrival to end.
        began: When that was, in nanoseconds since the epoch.
        queue: The wait for an instance, while it lasts.
        inference: The instance's work, from when it has begun.
        inference_began: When that was.
    """

    tracer: Tracer
    context: Context
    span: Span
    began: int
    queue: Span | None = None
    inference: Span | None = None
    inference_began: int = 0


@dataclass(frozen=True)
class _Start:
    """An instance's start, in nanoseconds since the epoch.

    Args:
        kind: How it was started.
        began: When.
        ended: When it served.
        timeline: Where the time went, as far as that is told.
    """

    kind: str
    began: int
    ended: int
    timeline: Timeline | None


class Spans:
    """Makes spans of what a journal tells; see :class:`..journal.traces.Traces`.

    Args:
        journal: The platform's.
        exporters: Who is given the spans.
    """

    def __init__(self, journal: Journal, exporters: Sequence[SpanExporter]) -> None:
        self._processors = [BatchSpanProcessor(exporter) for exporter in exporters]
        self._resource = Resource.create()
        self._tracers: dict[str, Tracer] = {}
        self._requests: dict[int, _Request] = {}
        self._starts: dict[tuple[str, str], _Start] = {}
        self._timelines: dict[tuple[str, str], Timeline] = {}
        journal.traces = self
        journal.attach(self._queued, RequestQueued)
        journal.attach(self._assigned, RequestAssigned)
        journal.attach(self._answered, RequestAnswered)
        journal.attach(self._refused, RequestRefused)
        journal.attach(self._changed, InstanceChanged)

    def begin(self, request: RequestArrived, headers: Mapping[str, str]) -> None:
        """See Traces."""
        began = time.time_ns()
        tracer, parent = self._tracer(request.function), propagate.extract(headers)
        attributes = {
            "faas.name": request.function,
            "http.request.method": request.method,
            "url.path": _printable(request.path),
            "bentofn.request_id": request.request_id,
        }
        span = tracer.start_span("request", parent, SpanKind.SERVER, attributes, start_time=began)
        context = set_span_in_context(span, parent)
        self._requests[request.number] = _Request(tracer, context, span, began)

    def headers(self, number: int) -> Mapping[str, str]:
        """See Traces."""
        request = self._requests.get(number)
        if request is None:  # it is over: what it was sent for is called off
            return {}
        span = request.inference or request.span
        told: dict[str, str] = {}
        propagate.inject(told, set_span_in_context(span, request.context))
        return {**told, TIMED: "1"} if span.is_recording() else told

    def started(self, function: str, instance: str, timeline: Timeline) -> None:
        """See Traces."""
        self._timelines[function, instance] = timeline

    def close(self) -> None:
        """Send what is left, unless that takes too long."""
        # Threads that nobody waits for: an exporter tries again for a while what did not arrive.
        closing = [threading.Thread(target=p.shutdown, daemon=True) for p in self._processors]
        ends = time.monotonic() + _PATIENCE
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(max(0.0, ends - time.monotonic()))

    def _tracer(self, function: str) -> Tracer:
        found = self._tracers.get(function)
        if found is None:
            resource = self._resource
            if str(resource.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
                resource = resource.merge(Resource({SERVICE_NAME: function}))
            provider = TracerProvider(resource=resource, shutdown_on_exit=False)
            for processor in self._processors:
                provider.add_span_processor(processor)
            found = self._tracers[function] = provider.get_tracer("bentofn")
        return found

    def _queued(self, event: RequestQueued) -> None:
        request = self._requests.get(event.number)
        if request is not None:
            began = time.time_ns() if _drop(request) else request.began
            request.queue = request.tracer.start_span("queue", request.context, start_time=began)

    def _assigned(self, event: RequestAssigned) -> None:
        request = self._requests.get(event.number)
        if request is None:
            return
        _drop(request)
        now = time.time_ns()
        start = self._starts.get((event.function, event.instance))
        if request.queue is not None:
            if start is not None and event.start != "warm":
                self._add_start(request, request.queue, start)
            request.queue.end(now)
            request.queue = None
        instance = {"faas.instance": event.instance}
        request.span.set_attributes({**instance, "faas.coldstart": event.start != "warm"})
        request.inference_began = now
        request.inference = request.tracer.start_span(
            "inference", request.context, SpanKind.CLIENT, instance, start_time=now
        )

    def _add_start(self, request: _Request, queue: Span, start: _Start) -> None:
        """The part of the wait in which the instance was started, as far as the request saw it."""
        context = set_span_in_context(queue, request.context)
        attributes: Attributes = {
            "bentofn.start.kind": start.kind,
            "bentofn.start.seconds": (start.ended - start.began) / 1e9,
        }
        span = request.tracer.start_span(
            "restore" if start.kind == "restored" else "start",
            context,
            attributes=attributes,
            start_time=max(start.began, request.began),
        )
        if start.timeline is not None:
            _add_stages(request, set_span_in_context(span, context), start.timeline)
        span.end(start.ended)

    def _answered(self, event: RequestAnswered) -> None:
        request = self._requests.pop(event.number, None)
        if request is None:
            return
        now = time.time_ns()
        if request.inference is not None:
            if event.batch_size is not None and event.batch_took is not None:
                self._add_batch(request, request.inference, event, event.batch_took, now)
            _end(request.inference, event.status, "", now)
        request.span.set_attribute("http.response.body.size", event.size)
        self._end(request, event.status, "", now)

    def _add_batch(
        self, request: _Request, inference: Span, event: RequestAnswered, took: float, now: int
    ) -> None:
        """The batch, as the instance said; that has a clock of its own, so that what it did not say
        of is taken to be half before and half after."""
        waited = event.batch_waited or 0.0
        rest = max(0, now - request.inference_began - int((waited + took) * 1e9))
        began = request.inference_began + rest // 2 + int(waited * 1e9)
        attributes = {"bentofn.batch.items": event.batch_size or 0, "bentofn.batch.waited": waited}
        request.tracer.start_span(
            "batch",
            set_span_in_context(inference, request.context),
            attributes=attributes,
            start_time=min(began, now),
        ).end(min(began + int(took * 1e9), now))

    def _refused(self, event: RequestRefused) -> None:
        request = self._requests.pop(event.number, None)
        if request is None:
            return
        now = time.time_ns()
        if request.inference is not None:
            _end(request.inference, event.status, event.reason, now)
        self._end(request, event.status, event.reason, now)

    def _end(self, request: _Request, status: int, reason: str, now: int) -> None:
        if request.queue is not None:
            request.queue.end(now)
        _end(request.span, status, reason, now)

    def _changed(self, event: InstanceChanged) -> None:
        key = (event.function, event.instance)
        if event.took is not None:
            now = time.time_ns()
            timeline = self._timelines.pop(key, None)
            self._starts[key] = _Start(event.kind, now - int(event.took * 1e9), now, timeline)
        elif event.state == "gone":
            self._starts.pop(key, None)


def _add_stages(request: _Request, start: Context, timeline: Timeline) -> None:
    """The stages of a start, each within what it is part of, as far as the request saw them."""
    within: dict[tuple[str, tuple[str, ...]], Context] = {}
    for each in timeline.slices():
        if each.stage.ended <= request.began:
            continue
        parent = within.get((each.origin, each.path[:-1]), start)
        attributes = {f"bentofn.{name}": _attribute(of) for name, of in each.stage.details.items()}
        span = request.tracer.start_span(
            each.stage.name,
            parent,
            attributes={"bentofn.stage.in": each.origin, **attributes},
            start_time=max(each.stage.began, request.began),
        )
        span.end(each.stage.ended)
        within[each.origin, each.path] = set_span_in_context(span, parent)


def _attribute(value: object) -> str | int | float:
    return value if isinstance(value, (int, float)) else _printable(str(value))


def _drop(request: _Request) -> bool:
    """End the work of an instance that had ended before it read the request, if one had it."""
    span, request.inference = request.inference, None
    if span is None:
        return False
    span.set_status(StatusCode.ERROR, "The instance had ended.")
    span.end()
    return True


def _end(span: Span, status: int, reason: str, now: int) -> None:
    """End a span of HTTP; by the conventions a server's errors are those from 500 up."""
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR, _printable(reason) or None)
    span.end(now)


def _printable(text: str) -> str:
    """A text without the halves of characters that a path of bytes may hold, and no UTF-8."""
    return text.encode("utf-8", "replace").decode()
