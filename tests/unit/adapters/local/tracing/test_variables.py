from __future__ import annotations

import subprocess
import sys

import pytest

from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.tracing.variables import exporter_names, start

HTTP, GRPC = ("otlp_proto_http",), ("otlp_proto_grpc",)
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({}, ()),
        ({"OTEL_SERVICE_NAME": "shop", "OTEL_METRICS_EXPORTER": "otlp"}, ()),
        (ENDPOINT, HTTP),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, HTTP),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, HTTP),
        ({"OTEL_TRACES_EXPORTER": "console,otlp"}, ("console", *HTTP)),
        ({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, GRPC),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, ()),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": ""}, HTTP),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, ()),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "false"}, HTTP),
    ],
)
def test_the_variables_that_ask_for_traces(
    variables: dict[str, str], names: tuple[str, ...]
) -> None:
    assert exporter_names(variables) == names


def test_nothing_is_imported_where_none_is_set() -> None:
    program = (
        "import sys\n"
        "from bentofn.adapters.local import platform\n"
        "from bentofn.adapters.local.journal.journal import Journal\n"
        "journal = Journal()\n"
        "assert platform.start_tracing({}, journal) is None\n"
        "assert journal.traces is None\n"
        "found = [name for name in sys.modules if name.startswith('opentelemetry')]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_an_exporter_that_is_not_installed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    journal = Journal()
    assert start({"OTEL_TRACES_EXPORTER": "nobodys"}, journal) is None
    assert journal.traces is None
    assert capsys.readouterr().err == (
        "No traces are made: OpenTelemetry's exporter nobodys is not installed; install it with: "
        "pip install 'bentofn[otel]'.\n"
    )


def test_a_variable_that_is_wrong_leaves_the_platform_without_traces(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables = {**ENDPOINT, "OTEL_BSP_MAX_QUEUE_SIZE": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    journal = Journal()
    assert start(variables, journal) is None
    assert journal.traces is None
    assert capsys.readouterr().err.startswith("No traces are made: max_queue_size")
