"""Prometheus metrics with BentoML's families and labels.

The counts are plain numbers: the client library, whose import takes as long as a quarter of the
application's, is loaded only when someone reads them.

Source: https://docs.bentoml.com/en/latest/build-with-bentoml/observability/metrics.html
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bentofn.runtime.current import server_context

if TYPE_CHECKING:
    from prometheus_client import Metric

    from bentofn.runtime.batching import BatchReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAMESPACE = "bentoml_service"
DURATION_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    *(10.0, 25.0, 50.0, 100.0, 180.0),
)
"""Seconds; BentoML's default."""

_SERVICE = ("runner_name", "service_name", "service_version")


class Distribution:
    """A histogram's counts.

    Args:
        bounds: The buckets' upper bounds, ascending.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bound and number of values up to it, of each bucket."""
        values, running = [], 0
        for bound, count in zip((*self._bounds, math.inf), self._counts, strict=True):
            running += count
            values.append(("+Inf" if bound == math.inf else str(float(bound)), float(running)))
        return values


class _Batches:
    """The batches of one method: BentoML counts their requests, and we their items as well."""

    def __init__(self, sizes: Sequence[float], seconds: Sequence[float]) -> None:
        self.requests = Distribution(sizes)
        self.items = Distribution(sizes)
        self.waits = Distribution(seconds)

    def add(self, batch: BatchReport) -> None:
        self.requests.add(batch.requests)
        self.items.add(batch.items)
        for seconds in batch.waits:
            self.waits.add(seconds)


class Metrics:
    """The metrics of one instance; they start from zero when it is made.

    Args:
        service: The service's name.
        version: The bento's version.
        config: The ``metrics`` section of the service's configuration.
        largest_batch: The largest ``max_batch_size`` of the service.
    """

    def __init__(
        self, service: str, version: str, config: Mapping[str, Any], largest_batch: int
    ) -> None:
        self._namespace = config.get("namespace", NAMESPACE)
        self._labels = [service, service, version]
        self._duration_bounds = duration_buckets(config.get("duration", {}))
        powers = math.ceil(math.log2(largest_batch)) + 1
        self._batch_bounds = [float(2**power) for power in range(powers)]
        self._in_progress: Counter[str] = Counter()
        self._totals: Counter[tuple[str, int]] = Counter()
        self._durations: dict[tuple[str, int], Distribution] = {}
        self._batches: dict[str, _Batches] = {}
        self._last_request: float | None = None
        self.tasks: Callable[[], Mapping[str, int]] | None = None
        """Says how many tasks are in which state; None where no tasks are kept."""

    def began(self, route: str) -> None:
        """Count a request that began."""
        self._in_progress[route] += 1
        self._last_request = time.time()

    def ended(self, route: str, status: int, seconds: float) -> None:
        """Count a request that ended after some seconds."""
        key = (route, status)
        if key not in self._durations:
            self._durations[key] = Distribution(self._duration_bounds)
        self._durations[key].add(seconds)
        self._totals[key] += 1
        self._in_progress[route] -= 1

    def batch(self, method: str, batch: BatchReport) -> None:
        """Count a batch of a method."""
        if method not in self._batches:
            self._batches[method] = _Batches(self._batch_bounds, self._duration_bounds)
        self._batches[method].add(batch)

    def render(self) -> str:
        """The metrics in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        text: bytes = generate_latest(registry)
        return text.decode()

    def collect(self) -> Iterable[Metric]:
        """The metrics as the client library's families; its registry calls this."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            HistogramMetricFamily,
        )

        def family(kind: Any, name: str, text: str, *labels: str) -> Any:
            return kind(f"{self._namespace}_{name}", text, labels=[*labels, *_SERVICE])

        outcome = ("endpoint", "http_response_code")
        requests = family(CounterMetricFamily, "request", "Total number of HTTP requests", *outcome)
        for (route, status), count in self._totals.items():
            requests.add_metric([route, str(status), *self._labels], count)
        yield requests
        durations = family(
            HistogramMetricFamily,
            "request_duration_seconds",
            "API HTTP request duration in seconds",
            *outcome,
        )
        for (route, status), each in self._durations.items():
            labels = [route, str(status), *self._labels]
            durations.add_metric(labels, each.cumulative(), each.total)
        yield durations
        running = family(
            GaugeMetricFamily,
            "request_in_progress",
            "Total number of HTTP requests in progress now",
            "endpoint",
        )
        for route, count in self._in_progress.items():
            running.add_metric([route, *self._labels], count)
        yield running
        last = family(
            GaugeMetricFamily, "last_request_timestamp_seconds", "Timestamp of the last request"
        )
        if self._last_request is not None:
            last.add_metric(self._labels, self._last_request)
        yield last
        yield from self._collect_batches(HistogramMetricFamily)
        if self.tasks is not None:
            tasks = GaugeMetricFamily(
                "bentofn_tasks", "Tasks that have not ended", labels=["state", *_SERVICE]
            )
            for state, count in self.tasks().items():
                tasks.add_metric([state, *self._labels], count)
            yield tasks

    def _collect_batches(self, histogram: Any) -> Iterable[Metric]:
        families = (
            (f"{self._namespace}_adaptive_batch_size", "Adaptive batch size", "requests"),
            ("bentofn_batch_items", "Items of a batch", "items"),
            ("bentofn_batch_wait_seconds", "Time that a request waited for its batch", "waits"),
        )
        worker = str(server_context.worker_index or 1)
        for name, text, counted in families:
            found = histogram(name, text, labels=["method_name", "worker_index", *_SERVICE])
            for method, batches in self._batches.items():
                each: Distribution = getattr(batches, counted)
                found.add_metric([method, worker, *self._labels], each.cumulative(), each.total)
            if self._batches:
                yield found


def duration_buckets(config: Mapping[str, Any]) -> Sequence[float]:
    """The bounds in seconds of ``metrics.duration``: given, exponential, or the default ones."""
    if "buckets" in config:
        return sorted(float(bound) for bound in config["buckets"])
    if not {"min", "max", "factor"} <= set(config):
        return DURATION_BUCKETS
    bounds = [float(config["min"])]
    while bounds[-1] < config["max"]:
        bounds.append(min(bounds[-1] * config["factor"], float(config["max"])))
    return bounds
