"""Whether and where traces go, by OpenTelemetry's own variables and nothing else.

Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bentofn.adapters.local.journal.journal import Journal

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from bentofn.adapters.local.tracing.spans import Spans

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_GROUP = "opentelemetry_traces_exporter"


def exporter_names(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The exporters that the variables ask for, by the names of their entry points.

    Where ``OTEL_TRACES_EXPORTER`` names none it takes an endpoint: OpenTelemetry's own default,
    ``otlp`` to localhost, is one for programs that were told to make traces.
    """
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    default = "otlp" if any(environ.get(name) for name in _ENDPOINTS) else "none"
    named = (environ.get("OTEL_TRACES_EXPORTER") or default).split(",")
    protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), "")
    otlp = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    found = [otlp if name.strip() == "otlp" else name.strip() for name in named]
    return tuple(dict.fromkeys(name for name in found if name not in ("", "none")))


def start(environ: Mapping[str, str], journal: Journal) -> Spans | None:
    """Make traces of what a journal tells, if the variables ask for it.

    What is wrong with them is one line on standard error: they may be meant for other programs.

    Args:
        environ: The platform's environment, which is this process's.
        journal: The platform's.
    """
    names = exporter_names(environ)
    if not names:
        return None
    try:
        # Names that are wrong fail the import already: OTEL_PROPAGATORS is read there.
        from bentofn.adapters.local.tracing.spans import Spans

        return Spans(journal, [_exporter(name) for name in names])
    except Exception as error:
        missing = isinstance(error, (ModuleNotFoundError, LookupError))
        help = "; install it with: pip install 'bentofn[otel]'" if missing else ""
        told = str(error).strip().rstrip(".") or type(error).__name__
        print(f"No traces are made: {told}{help}.", file=sys.stderr, flush=True)
        return None


def _exporter(name: str) -> SpanExporter:
    """An exporter, configured by the variables.

    Raises:
        LookupError: No installed package has it.
    """
    from importlib.metadata import entry_points

    from opentelemetry.sdk.trace.export import SpanExporter

    for found in entry_points(group=_GROUP, name=name):
        exporter = found.load()()
        assert isinstance(exporter, SpanExporter)
        return exporter
    raise LookupError(f"OpenTelemetry's exporter {name} is not installed")
