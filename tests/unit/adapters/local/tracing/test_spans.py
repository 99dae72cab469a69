"""What becomes of a request's events."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otlp import receiving

from bentofn.adapters.local.journal.events import InstanceChanged
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.journal.record import Record
from bentofn.adapters.local.timeline.timeline import Timeline
from bentofn.adapters.local.tracing.spans import TIMED, Spans
from bentofn.runtime.stages import Stage

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TOLD = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=1"}


class Traced:
    """A journal, and the spans that are made of it."""

    def __init__(self) -> None:
        self.journal = Journal()
        self._exporter = InMemorySpanExporter()
        exporters: list[SpanExporter] = [self._exporter]
        self.spans = Spans(self.journal, exporters)

    def record(self, **headers: str) -> Record:
        return Record(self.journal, "hello", "r1", "POST", "/greet", 0, headers)

    def ready(self, instance: str, kind: str, took: float) -> None:
        self.journal.publish(InstanceChanged(0.0, "hello", instance, "ready", kind, took))

    def made(self) -> dict[str, ReadableSpan]:
        """The spans by name."""
        self.spans.close()
        found = {span.name: span for span in self._exporter.get_finished_spans()}
        assert len(found) == len(self._exporter.get_finished_spans())
        return found


@pytest.fixture
def traced() -> Iterator[Traced]:
    traced = Traced()
    yield traced
    traced.spans.close()


def test_a_request_that_an_instance_is_restored_for(traced: Traced) -> None:
    request = traced.record(**TOLD)
    request.queued()
    traced.ready("i1", "restored", 0.001)
    request.assigned("i1", "restored")
    request.batch_size, request.batch_waited, request.batch_took, request.size = 3, 0.0, 0.0, 7
    request.answered(200)
    made = traced.made()
    assert parents(made) == {
        "request": CALLER,
        "queue": "request",
        "restore": "queue",
        "inference": "request",
        "batch": "inference",
    }
    for span in made.values():
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" == TRACE
        assert span.resource.attributes["service.name"] == "hello"
        assert begin(span) <= end(span)
        for inner in children(span, made):
            assert begin(span) <= begin(inner)
            assert end(inner) <= end(span)
    assert end(made["queue"]) == begin(made["inference"])
    attributes = dict(made["request"].attributes or {})
    assert attributes == {
        "faas.name": "hello",
        "http.request.method": "POST",
        "url.path": "/greet",
        "bentofn.request_id": "r1",
        "faas.instance": "i1",
        "faas.coldstart": True,
        "http.response.status_code": 200,
        "http.response.body.size": 7,
    }
    assert (made["batch"].attributes or {})["bentofn.batch.items"] == 3


def test_the_stages_of_a_start_are_within_it_as_far_as_the_request_saw_them(traced: Traced) -> None:
    before = time.time_ns()
    request = traced.record()
    request.queued()
    began = time.time_ns()
    instance = [
        Stage("boot", before - 9, before - 5, 1, 1),
        Stage("import", before - 5, began, 1, 1, details={"target": "a:B"}),
        Stage("import torch", before - 3, began, 1, 1),
    ]
    traced.spans.started("hello", "i1", Timeline("i1", before - 9, began, [], instance))
    traced.ready("i1", "cold", 60.0)
    request.assigned("i1", "cold")
    request.answered(200)
    made = traced.made()
    assert set(made) == {"request", "queue", "start", "import", "import torch", "inference"}
    assert parents(made)["import"] == "start"
    assert parents(made)["import torch"] == "import"
    assert begin(made["import"]) == begin(made["request"])
    assert begin(made["import"]) <= end(made["import"])
    told = dict(made["import"].attributes or {})
    assert told == {"bentofn.stage.in": "instance", "bentofn.target": "a:B"}


def test_a_warm_request_waits_for_nothing(traced: Traced) -> None:
    traced.ready("i1", "cold", 1.0)
    request = traced.record()
    request.assigned("i1", "warm")
    request.answered(200)
    made = traced.made()
    assert parents(made) == {"request": "", "inference": "request"}


def test_a_start_that_began_before_the_request_is_shown_from_there_on(traced: Traced) -> None:
    request = traced.record()
    request.queued()
    traced.ready("i1", "cold", 60.0)
    request.assigned("i1", "cold")
    request.answered(200)
    made = traced.made()
    assert begin(made["start"]) == begin(made["request"])
    assert (made["start"].attributes or {})["bentofn.start.seconds"] == pytest.approx(60.0)


def test_a_refused_request_fails_with_the_reason(traced: Traced) -> None:
    request = traced.record()
    request.queued()
    request.refused(503, "Nothing starts.")
    made = traced.made()
    assert set(made) == {"request", "queue"}
    assert made["request"].status.description == "Nothing starts."
    assert not made["request"].status.is_ok


def test_a_throttled_request_is_no_failure_of_the_server(traced: Traced) -> None:
    traced.record().refused(429, "Too many.")
    (request,) = traced.made().values()
    assert request.status.is_ok
    assert (request.attributes or {})["http.response.status_code"] == 429


def test_an_instance_is_told_of_the_inference(traced: Traced) -> None:
    request = traced.record(**TOLD, baggage="user=1")
    request.assigned("i1", "warm")
    told = request.trace_headers()
    request.answered(200)
    context = traced.made()["inference"].context
    assert context is not None
    parent = f"00-{TRACE}-{context.span_id:016x}-01"
    assert told == {
        "traceparent": parent, "tracestate": "vendor=1", "baggage": "user=1", TIMED: "1",
    }  # fmt: skip


def test_what_the_caller_does_not_keep_is_not_kept(traced: Traced) -> None:
    request = traced.record(traceparent=f"00-{TRACE}-{CALLER}-00")
    request.assigned("i1", "warm")
    told = request.trace_headers()
    request.answered(200)
    assert told["traceparent"].startswith(f"00-{TRACE}-")
    assert told["traceparent"].endswith("-00")
    assert TIMED not in told
    assert traced.made() == {}


@pytest.mark.parametrize("given", ["", "00-0-0-01", f"ff-{TRACE}-{CALLER}-01", "x" * 9999])
def test_a_trace_that_is_none_is_replaced(traced: Traced, given: str) -> None:
    request = traced.record(traceparent=given)
    request.answered(200)
    assert parents(traced.made()) == {"request": ""}


def test_a_second_instance_after_a_dead_one_has_an_inference_of_its_own(traced: Traced) -> None:
    request = traced.record()
    request.assigned("i1", "warm")
    request.assigned("i2", "warm")
    request.queued()
    request.assigned("i3", "warm")
    request.answered(200)
    traced.spans.close()
    *spans, last = traced._exporter.get_finished_spans()
    assert last.name == "request"
    spans.sort(key=begin)
    found = [((s.attributes or {}).get("faas.instance"), s.status.is_ok) for s in spans]
    assert found == [("i1", False), ("i2", False), (None, True), ("i3", True)]
    assert all(end(each) <= begin(later) for each, later in itertools.pairwise(spans))


def test_requests_of_one_id_at_a_time_are_told_apart(traced: Traced) -> None:
    first, second = traced.record(**TOLD), traced.record()
    first.answered(200)
    second.answered(201)
    traced.spans.close()
    found = {
        (s.attributes or {})["http.response.status_code"]: s.parent is not None
        for s in traced._exporter.get_finished_spans()
    }
    assert found == {200: True, 201: False}


def test_a_path_that_is_no_text_is_shown_as_far_as_it_is() -> None:
    with receiving() as receiver:
        journal = Journal()
        spans = Spans(journal, [OTLPSpanExporter(f"{receiver.url}/v1/traces")])
        Record(journal, "hello", "r1", "POST", "/a\udcffb", 0).answered(200)
        spans.close()
    assert [span.attributes["url.path"] for span in receiver.spans] == ["/a?b"]


def test_a_receiver_that_does_not_answer_holds_nobody_up() -> None:
    released = threading.Event()

    class Stuck(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            released.wait()
            return SpanExportResult.FAILURE

    journal = Journal()
    spans = Spans(journal, [Stuck()])
    Record(journal, "hello", "r1", "POST", "/greet", 0).answered(200)
    spans.close()
    released.set()


def parents(made: dict[str, ReadableSpan]) -> dict[str, str]:
    """Each span's parent, by name where it is one of them."""
    names = {span.context.span_id: name for name, span in made.items() if span.context}
    return {
        name: names.get(span.parent.span_id, f"{span.parent.span_id:016x}") if span.parent else ""
        for name, span in made.items()
    }


def children(span: ReadableSpan, made: dict[str, ReadableSpan]) -> list[ReadableSpan]:
    assert span.context is not None
    own = span.context.span_id
    return [each for each in made.values() if each.parent and each.parent.span_id == own]


def begin(span: ReadableSpan) -> int:
    assert span.start_time is not None
    return span.start_time


def end(span: ReadableSpan) -> int:
    assert span.end_time is not None
    return span.end_time
