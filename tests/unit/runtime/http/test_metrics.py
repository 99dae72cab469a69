from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from bentofn.runtime.batching import BatchReport
from bentofn.runtime.http.metrics import DURATION_BUCKETS, Distribution, Metrics, duration_buckets


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(metrics.render())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


SERVICE = {"runner_name": "s", "service_name": "s", "service_version": "v1"}


def test_families_and_labels_are_bentomls() -> None:
    metrics = Metrics("s", "v1", {}, 100)
    metrics.began("/embed")
    metrics.began("/embed")
    metrics.ended("/embed", 200, 0.3)
    metrics.batch("embed", BatchReport(items=40, requests=5, seconds=0.1, waits=(0.02, 0.3)))
    found = samples(metrics)

    def value(name: str, **labels: str) -> float:
        return found[f"bentoml_service_{name}", frozenset({**SERVICE, **labels}.items())]

    outcome = {"endpoint": "/embed", "http_response_code": "200"}
    batch = {"method_name": "embed", "worker_index": "1"}
    assert value("request_total", **outcome) == 1
    assert value("request_duration_seconds_sum", **outcome) == pytest.approx(0.3)
    assert value("request_duration_seconds_bucket", le="0.25", **outcome) == 0
    assert value("request_duration_seconds_bucket", le="0.5", **outcome) == 1
    assert value("request_in_progress", endpoint="/embed") == 1
    assert value("last_request_timestamp_seconds") > 0
    assert value("adaptive_batch_size_bucket", le="4.0", **batch) == 0
    assert value("adaptive_batch_size_bucket", le="8.0", **batch) == 1
    assert value("adaptive_batch_size_bucket", le="128.0", **batch) == 1
    ours = frozenset({**SERVICE, **batch}.items())
    assert found["bentofn_batch_items_sum", ours] == 40
    assert found["bentofn_batch_wait_seconds_count", ours] == 2
    assert found["bentofn_batch_wait_seconds_sum", ours] == pytest.approx(0.32)


def test_a_new_instance_starts_from_zero() -> None:
    assert samples(Metrics("s", "v1", {}, 2)) == {}


def test_the_namespace_and_the_buckets_can_be_chosen() -> None:
    metrics = Metrics("s", "v1", {"namespace": "mine", "duration": {"buckets": [1, 2]}}, 2)
    metrics.began("/a")
    metrics.ended("/a", 500, 1.5)
    assert 'mine_request_duration_seconds_bucket{endpoint="/a"' in metrics.render()
    assert duration_buckets({}) == DURATION_BUCKETS
    assert duration_buckets({"min": 1, "max": 5, "factor": 2}) == [1, 2, 4, 5]


@given(st.lists(st.floats(0, 1e6)), st.lists(st.floats(0, 1e6), unique=True).map(sorted))
def test_a_distribution_counts_each_value_once(values: list[float], bounds: list[float]) -> None:
    distribution = Distribution(bounds)
    for value in values:
        distribution.add(value)
    expected = [sum(value <= bound for value in values) for bound in bounds]
    assert [count for _, count in distribution.cumulative()] == [*expected, len(values)]
    assert distribution.total == pytest.approx(sum(values))
