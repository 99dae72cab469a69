"""Traces of several services that call each other, as a receiver of OpenTelemetry's gets them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import httpx
import pytest
from otlp import ReceivedSpan, Receiver

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SERVER, CLIENT = 2, 3
"""Kinds of spans by their numbers in OTLP."""


def test_one_trace_goes_through_all_services_from_their_starts_to_the_batch(
    receiver: Receiver, adapter: LocalAdapter, root: Path
) -> None:
    url = at_zero(adapter, root)
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-Id": "try-1"}
    texts = ["Great soup but slow", "awful"]
    answer = httpx.post(f"{url}/review", json={"texts": texts}, headers=headers, timeout=60)
    assert answer.json() == {"moods": [0.0, -1.0]}
    daemon.stop(adapter._home)  # which sends what is left

    assert set(receiver.paths) == {"/v1/traces"}
    spans = {span.id: span for span in receiver.spans if span.trace == TRACE}
    (outer,) = [span for span in spans.values() if span.parent == CALLER]
    assert (outer.service, outer.name, outer.kind) == ("reviews", "request", SERVER)
    assert outer.attributes["bentofn.request_id"] == "try-1"
    assert outer.attributes["url.path"] == "/review"
    assert outer.attributes["faas.coldstart"] is True
    queue, inference = below(outer, spans.values())
    assert (queue.name, inference.name, inference.kind) == ("queue", "inference", CLIENT)
    (start,) = below(queue, spans.values())
    assert start.name == "start"
    assert start.attributes["bentofn.start.kind"] == "cold"
    stages = below(start, spans.values())
    assert {"process", "interpreter", "boot", "import", "bind"} <= {each.name for each in stages}
    assert {each.attributes["bentofn.stage.in"] for each in stages} == {"platform", "instance"}
    (warm_up,) = [each for each in stages if each.name == "warm-up"]
    assert {each.name for each in below(warm_up, spans.values())} == {"example"}

    called = below(inference, spans.values())
    assert [(each.service, each.name) for each in called] == [
        *[("reviews.Words", "request")] * 2,
        *[("reviews.Mood", "request")] * 2,
    ]
    assert {each.attributes["bentofn.request_id"] for each in called} == {"try-1"}
    for call in called[2:]:
        *_, inner = below(call, spans.values())
        (batch,) = below(inner, spans.values())
        assert (inner.name, batch.name) == ("inference", "batch")
        assert batch.attributes["bentofn.batch.items"] in (1, 2)

    for span in spans.values():
        assert not span.failed
        for inner in below(span, spans.values()):
            assert span.began <= inner.began <= inner.ended <= span.ended, (span, inner)


def test_without_the_variables_nothing_is_sent_and_the_callers_trace_is_passed_on(
    receiver: Receiver, adapter: LocalAdapter, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    url = at_zero(adapter, root)
    answer = httpx.post(f"{url}/review", json={"texts": ["awful"]}, timeout=60)
    assert answer.json() == {"moods": [-1.0]}
    daemon.stop(adapter._home)
    assert receiver.paths == []


def at_zero(adapter: LocalAdapter, root: Path) -> str:
    """Deploy the function; returns its URL, on a platform at which nothing runs yet."""
    spec = FunctionSpec("reviews", str(root), FunctionSettings(snapshot="none"))
    adapter.apply(spec, lambda _: None)
    daemon.stop(adapter._home)
    return f"{daemon.ensure_running(adapter._home, 0).url}/reviews"


def below(span: ReceivedSpan, spans: Iterable[ReceivedSpan]) -> list[ReceivedSpan]:
    """A span's children, in their order."""
    return sorted((s for s in spans if s.parent == span.id), key=lambda s: (s.began, s.ended))
