"""Prometheus metrics with BentoML's families and labels.

Source: https://docs.bentoml.com/en/latest/build-with-bentoml/observability/metrics.html
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

NAMESPACE = "bentoml_service"
DURATION_BUCKETS = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    *(10.0, 25.0, 50.0, 100.0, 180.0),
)
"""Seconds; BentoML's default."""

_SERVICE = ("runner_name", "service_name", "service_version")
_ENDPOINT = ("endpoint", *_SERVICE)
_OUTCOME = ("endpoint", "http_response_code", *_SERVICE)
_BATCH = ("method_name", "worker_index", *_SERVICE)


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
        namespace = config.get("namespace", NAMESPACE)
        registry = CollectorRegistry()
        self._registry = registry
        self._labels = (service, service, version)
        self._total = Counter(
            "request_total",
            "Total number of HTTP requests",
            _OUTCOME,
            namespace=namespace,
            registry=registry,
        )
        self._duration = Histogram(
            "request_duration_seconds",
            "API HTTP request duration in seconds",
            _OUTCOME,
            namespace=namespace,
            registry=registry,
            buckets=duration_buckets(config.get("duration", {})),
        )
        self._in_progress = Gauge(
            "request_in_progress",
            "Total number of HTTP requests in progress now",
            _ENDPOINT,
            namespace=namespace,
            registry=registry,
        )
        self._last = Gauge(
            "last_request_timestamp_seconds",
            "Timestamp of the last HTTP request",
            _SERVICE,
            namespace=namespace,
            registry=registry,
        )
        self._batch = Histogram(
            "adaptive_batch_size",
            "Adaptive batch size",
            _BATCH,
            namespace=namespace,
            registry=registry,
            buckets=[float(2**power) for power in range(math.ceil(math.log2(largest_batch)) + 1)],
        )
        # Looking a child up by its labels takes longer than adding to it.
        self._running: dict[str, Any] = {}
        self._outcomes: dict[tuple[str, int], tuple[Any, Any]] = {}
        self._last_request = self._last.labels(*self._labels)

    def began(self, route: str) -> None:
        """Count a request that began."""
        if route not in self._running:
            self._running[route] = self._in_progress.labels(route, *self._labels)
        self._running[route].inc()
        self._last_request.set(time.time())

    def ended(self, route: str, status: int, seconds: float) -> None:
        """Count a request that ended after some seconds."""
        key = (route, status)
        if key not in self._outcomes:
            labels = (route, str(status), *self._labels)
            self._outcomes[key] = (self._total.labels(*labels), self._duration.labels(*labels))
        total, duration = self._outcomes[key]
        total.inc()
        duration.observe(seconds)
        self._running[route].dec()

    def batch(self, method: str, items: int) -> None:
        """Count a batch of some items."""
        self._batch.labels(method, "1", *self._labels).observe(items)

    def render(self) -> str:
        """The metrics in Prometheus' text format."""
        text: bytes = generate_latest(self._registry)
        return text.decode()


def duration_buckets(config: Mapping[str, Any]) -> Sequence[float]:
    """The bounds in seconds of ``metrics.duration``: given, exponential, or the default ones."""
    if "buckets" in config:
        return [float(bound) for bound in config["buckets"]]
    if not {"min", "max", "factor"} <= set(config):
        return DURATION_BUCKETS
    bounds = [float(config["min"])]
    while bounds[-1] < config["max"]:
        bounds.append(min(bounds[-1] * config["factor"], float(config["max"])))
    return bounds
