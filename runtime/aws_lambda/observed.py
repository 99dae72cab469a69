"""What a function tells of each invocation: in its logs, as metrics, as traces.

Powertools is loaded only where it is asked for: metrics with ``POWERTOOLS_METRICS_NAMESPACE``,
traces where the bento brings ``aws-xray-sdk`` and Lambda an X-Ray daemon, log keys for the loggers
of Powertools that the service itself made.

Source: https://docs.powertools.aws.dev/lambda/python/latest/
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

Handler = Callable[[Any, Any], Any]

NAMESPACE = "POWERTOOLS_METRICS_NAMESPACE"
DAEMON = "AWS_XRAY_DAEMON_ADDRESS"
CORRELATION = "x-correlation-id"

_SERVER_ERROR = 500


def observed(handle: Handler, service: str) -> Handler:
    """A handler that tells of what it does.

    Args:
        handle: What it does.
        service: The service's name.
    """
    told = _with_log_keys(handle, service)
    if os.environ.get(NAMESPACE):
        told = _with_metrics(told, service)
    if DAEMON in os.environ and find_spec("aws_xray_sdk") is not None:
        from aws_lambda_powertools import Tracer

        told = Tracer(service=service).capture_lambda_handler(told, capture_response=False)
    return told


def correlation_of(event: Any) -> str | None:
    """The id that joins what several functions did for one caller; None where there is none.

    The caller's ``X-Correlation-Id``, else the id that API Gateway or a URL gave the request.
    """
    if not isinstance(event, Mapping):
        return None
    headers = event.get("headers")
    if isinstance(headers, Mapping):
        for name, value in headers.items():
            if str(name).lower() == CORRELATION:
                return str(value)
    context = event.get("requestContext")
    found = context.get("requestId") if isinstance(context, Mapping) else None
    return str(found) if found else None


class LogKeys(logging.Filter):
    """Adds what all lines of an invocation have in common, for Lambda's own JSON format too."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.current: dict[str, Any] = {"service": service}

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in self.current.items():
            if name not in vars(record):
                setattr(record, name, value)
        return True


def _with_log_keys(handle: Handler, service: str) -> Handler:
    keys = LogKeys(service)
    for each in logging.getLogger().handlers:
        each.addFilter(keys)
    is_first = True

    def logged(event: Any, context: Any) -> Any:
        nonlocal is_first
        correlation = correlation_of(event)
        keys.current = {"service": service, "cold_start": is_first}
        if correlation is not None:
            keys.current["correlation_id"] = correlation
        own = {**keys.current, "function_request_id": context.aws_request_id}
        is_first = False
        for formatter in _powertools_formatters():
            formatter.append_keys(**{"correlation_id": None, **own})
        return handle(event, context)

    return logged


def _powertools_formatters() -> list[Any]:
    """The formatters of the loggers that the service made with Powertools."""
    module = sys.modules.get("aws_lambda_powertools.logging.formatter")
    if module is None:
        return []
    loggers = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    found = [handler.formatter for each in loggers for handler in each.handlers]
    return [each for each in found if isinstance(each, module.LambdaPowertoolsFormatter)]


def _with_metrics(handle: Handler, service: str) -> Handler:
    """Count and time invocations, and write what the service itself counts, as EMF."""
    from aws_lambda_powertools import Metrics
    from aws_lambda_powertools.metrics import MetricUnit

    metrics = Metrics(service=service)

    def measured(event: Any, context: Any) -> Any:
        began = time.perf_counter()
        failed = True
        try:
            answer = handle(event, context)
            failed = isinstance(answer, dict) and answer.get("statusCode", 0) >= _SERVER_ERROR
        finally:
            took = (time.perf_counter() - began) * 1000
            metrics.add_metric("Errors", MetricUnit.Count, int(failed))
            metrics.add_metric("Latency", MetricUnit.Milliseconds, took)
        return answer

    written: Handler = metrics.log_metrics(measured, capture_cold_start_metric=True)
    return written
