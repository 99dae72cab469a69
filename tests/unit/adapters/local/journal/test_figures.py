from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from bentofn.adapters.local.journal.events import (
    Cost,
    Deployed,
    Destroyed,
    Fired,
    InstanceChanged,
    RequestAnswered,
    RequestAssigned,
    RequestQueued,
    RequestRefused,
)
from bentofn.adapters.local.journal.figures import Figures, Histogram
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.journal.metrics import render


def busy_day(journal: Journal) -> Figures:
    figures = Figures(journal)
    journal.publish(Deployed(0.0, "hello", 3, "lambda"))
    journal.publish(InstanceChanged(0.0, "hello", "i1", "restoring", "restored"))
    journal.publish(RequestQueued(0.0, "hello", "r1", 1))
    journal.publish(RequestQueued(0.0, "hello", "r1", 2))
    journal.publish(InstanceChanged(0.1, "hello", "i1", "ready", "restored", took=0.04))
    journal.publish(RequestAssigned(0.1, "hello", "r1", "i1", "restored", 1))
    journal.publish(InstanceChanged(0.1, "hello", "i1", "busy", "restored"))
    journal.publish(RequestAnswered(0.2, "hello", "r1", 200, 1.0, 1.1, 1.2, 8, number=1))
    journal.publish(RequestRefused(0.2, "hello", "r3", 429, "Too many."))
    journal.publish(InstanceChanged(0.3, "hello", "i2", "starting", "cold"))
    journal.publish(InstanceChanged(0.4, "hello", "i2", "gone", "cold", reason="it broke"))
    journal.publish(Fired(0.5, "hello", "nightly", 0.5, "delivered"))
    journal.publish(Cost(0.5, "hello", 0.25))
    journal.publish(Cost(0.6, "hello", 0.5))
    return figures


def test_metrics_are_prometheus_own_format() -> None:
    families = text_string_to_metric_families(render(busy_day(Journal())).decode())
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }
    hello = ("function", "hello")
    assert found["bentofn_function", hello, ("profile", "lambda"), ("version", "3")] == 1
    assert found["bentofn_requests_total", hello, ("status", "200")] == 1
    assert found["bentofn_refused_requests_total", hello, ("status", "429")] == 1
    assert found["bentofn_waiting_requests", hello] == 1
    assert found["bentofn_instances", hello, ("state", "busy")] == 1
    assert found["bentofn_failed_starts_total", hello] == 1
    assert found["bentofn_cost_total", ("currency", "USD"), hello] == 0.75
    assert found["bentofn_start_seconds_count", hello, ("kind", "restored")] == 1
    assert found["bentofn_start_seconds_bucket", hello, ("kind", "restored"), ("le", "0.05")] == 1
    assert found["bentofn_request_seconds_bucket", hello, ("le", "0.1")] == 0
    assert found["bentofn_request_seconds_bucket", hello, ("le", "+Inf")] == 1
    assert found["bentofn_batch_items_sum", hello] == 8
    fired = (("function", "hello"), ("outcome", "delivered"), ("schedule", "nightly"))
    assert found[("bentofn_schedule_fires_total", *fired)] == 1


def test_a_function_that_is_gone_has_no_metrics() -> None:
    journal = Journal()
    figures = busy_day(journal)
    journal.publish(InstanceChanged(0.0, "hello.Inner", "i1", "starting", "cold"))
    journal.publish(Destroyed(1.0, "hello"))
    assert figures.functions == {}


def test_values_are_counted_at_the_first_bound_that_holds_them() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 3):
        histogram.add(value)
    assert histogram.counts == [2, 1, 1]
    assert (histogram.count, histogram.sum, histogram.largest) == (4, 6.0, 3)
