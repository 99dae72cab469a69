"""The platform's figures in Prometheus's text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from bentofn.adapters.local.journal.figures import Figures, Histogram

CONTENT_TYPE = CONTENT_TYPE_LATEST


def render(figures: Figures) -> bytes:
    """All metrics. A function has only those of what it has done."""
    registry = CollectorRegistry()
    registry.register(_Collector(figures))
    return bytes(generate_latest(registry))


class _Collector:
    """Makes the metrics of the figures as they are."""

    def __init__(self, figures: Figures) -> None:
        self._functions = sorted(figures.functions.items())

    def describe(self) -> Iterable[Metric]:
        return []  # else registering would make all of them once more

    def collect(self) -> Iterator[Metric]:
        yield self._info()
        yield self._requests()
        yield self._refusals()
        yield self._histogram("bentofn_request_seconds", "From arrival to end.", "took")
        yield self._histogram("bentofn_queue_seconds", "Wait for an instance.", "waited")
        yield self._histogram("bentofn_batch_items", "Items of a request's batch.", "batches")
        yield self._waiting()
        yield self._instances()
        yield self._starts()
        yield self._failed_starts()
        yield self._costs()
        yield self._invocations()
        yield self._fired()

    def _info(self) -> Metric:
        labels = ["function", "version", "profile"]
        family = GaugeMetricFamily("bentofn_function", "Deployed functions.", labels=labels)
        for name, each in self._functions:
            if each.version:
                family.add_metric([name, str(each.version), each.profile], 1)
        return family

    def _requests(self) -> Metric:
        told = "Requests that were answered, by HTTP status; 499: the caller left."
        family = CounterMetricFamily("bentofn_requests", told, labels=["function", "status"])
        for name, each in self._functions:
            for status, count in sorted(each.answered.items()):
                family.add_metric([name, str(status)], count)
        return family

    def _refusals(self) -> Metric:
        told = "Requests that the platform refused, by HTTP status; 429: throttled."
        labels = ["function", "status"]
        family = CounterMetricFamily("bentofn_refused_requests", told, labels=labels)
        for name, each in self._functions:
            for status, count in sorted(each.refused.items()):
                family.add_metric([name, str(status)], count)
        return family

    def _histogram(self, metric: str, told: str, attribute: str) -> Metric:
        family = HistogramMetricFamily(metric, told, labels=["function"])
        for name, each in self._functions:
            _add(family, [name], getattr(each, attribute))
        return family

    def _waiting(self) -> Metric:
        told = "Requests that wait for an instance."
        family = GaugeMetricFamily("bentofn_waiting_requests", told, labels=["function"])
        for name, each in self._functions:
            family.add_metric([name], len(each.waiting))
        return family

    def _instances(self) -> Metric:
        labels = ["function", "state"]
        family = GaugeMetricFamily("bentofn_instances", "Instances, by state.", labels=labels)
        for name, each in self._functions:
            for state, count in sorted(Counter(each.instances.values()).items()):
                family.add_metric([name, state], count)
        return family

    def _starts(self) -> Metric:
        told = "How long instances took to start, by kind: cold, zygote, restored."
        labels = ["function", "kind"]
        family = HistogramMetricFamily("bentofn_start_seconds", told, labels=labels)
        for name, each in self._functions:
            for kind, histogram in sorted(each.starts.items()):
                _add(family, [name, kind], histogram)
        return family

    def _failed_starts(self) -> Metric:
        told = "Instances that ended before they could take a request."
        family = CounterMetricFamily("bentofn_failed_starts", told, labels=["function"])
        for name, each in self._functions:
            if each.failed_starts:
                family.add_metric([name], each.failed_starts)
        return family

    def _costs(self) -> Metric:
        labels = ["function", "currency"]
        told = "What the backend would have billed."
        family = CounterMetricFamily("bentofn_cost", told, labels=labels)
        for name, each in self._functions:
            for currency, amount in sorted(each.costs.items()):
                family.add_metric([name, currency], amount)
        return family

    def _invocations(self) -> Metric:
        labels = ["function", "outcome"]
        told = "Asynchronous invocations: accepted, and attempts by outcome."
        family = CounterMetricFamily("bentofn_invocations", told, labels=labels)
        for name, each in self._functions:
            for outcome, count in sorted(each.invocations.items()):
                family.add_metric([name, outcome], count)
        return family

    def _fired(self) -> Metric:
        labels = ["function", "schedule", "outcome"]
        family = CounterMetricFamily("bentofn_schedule_fires", "Due schedules.", labels=labels)
        for name, each in self._functions:
            for (schedule, outcome), count in sorted(each.fired.items()):
                family.add_metric([name, schedule, outcome], count)
        return family


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    if not histogram.count:
        return
    total = 0
    buckets = []
    for bound, count in zip((*histogram.bounds, "+Inf"), histogram.counts, strict=True):
        total += count
        buckets.append((str(bound), total))
    family.add_metric(labels, buckets, sum_value=histogram.sum)
