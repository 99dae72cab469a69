from __future__ import annotations

import warnings
from typing import Any

import pytest

from bentofn.runtime.config import check_config, check_envs
from bentofn.runtime.errors import UserError


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"resources": {"gpus": 1}}, "unknown configuration key 'resources.gpus'.*mean 'gpu'"),
        ({"backlog": 63}, "backlog must be a whole number from 64 up, not 63"),
        ({"traffic": 5}, "traffic is a mapping with the keys timeout"),
        ({"traffic": {"timeout": 0}}, "traffic.timeout must be a positive number, not 0"),
        ({"traffic": {"max_concurrency": 1.5}}, "must be a positive whole number, not 1.5"),
        ({"threads": True}, "threads must be a positive whole number"),
        ({"workers": "many"}, "workers must be"),
        ({"metrics": {"duration": {"min": 1, "max": 2, "factor": 1}}}, "factor must be above 1"),
    ],
)
def test_a_value_that_cannot_be_used(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        check_config("Service", config)
    assert str(caught.value).startswith("Service: ")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"trafic": {}}, "unknown configuration key 'trafic'.*did you mean 'traffic'"),
        ({"worker": 2}, "did you mean 'workers'"),
        ({"descripton": ""}, "did you mean 'description'"),
        ({"timeouts": {"keep_alive": 5}}, "'timeouts'"),
        ({"endpoints": {"ready": "/path"}}, "'endpoints.ready'.*did you mean 'readyz'"),
        ({"traffic": {"time_out": 1}}, "'traffic.time_out'.*did you mean 'timeout'"),
        (
            {"http": {"cors": {"access_control_allow_origin": "*"}}},
            "'http.cors.access_control_allow_origin'.*'access_control_allow_origins'",
        ),
    ],
)
def test_an_unknown_key_is_warned_of(config: dict[str, Any], message: str) -> None:
    with pytest.warns(UserWarning, match=f"^Service: .*{message}") as caught:
        assert check_config("Service", config) == config
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"extra_ports": [3001]}, "extra_ports"),
        ({"grpc": {"enabled": True}}, "grpc.enabled"),
        ({"logging": {"access": {"format": {"trace_id": "x"}}}}, "logging.access.format"),
        ({"max_runner_connections": 8}, "max_runner_connections"),
        ({"resources": {"tpu_type": "v5"}}, "resources.tpu_type"),
        ({"runner_connection": {"max_requests": 10, "max_age": 3.0}}, "runner_connection"),
        ({"runner_probe": {"enabled": True, "period": 3}}, "runner_probe.period"),
        ({"tracing": {"exporter_type": "otlp"}}, "tracing.exporter_type"),
    ],
)
def test_a_key_without_effect_is_warned_of_once(config: dict[str, Any], path: str) -> None:
    said = f"^Service: {path} in @bentofn.service has no effect: [a-z].+[.]$"
    with pytest.warns(UserWarning, match=said) as caught:
        assert check_config("Service", config) == config
    assert len(caught) == 1


def test_a_line_that_is_run_again_warns_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            check_config("Service", {"trafic": {}})
    assert len(caught) == 1


def test_bentomls_keys_are_taken() -> None:
    config = {
        "traffic": {"timeout": 1.5, "concurrency": 2, "external_queue": True},
        "workers": "cpu_count",
        "logging": {"access": {"enabled": True}},
        "tracing": {"sample_rate": 1.0, "otlp": {"protocol": "http"}},
        "grpc": {"enabled": False, "port": 3001},
        "endpoints": {"livez": "/alive"},
        "monitoring": {"enabled": False},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_config("Service", config) == config


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"value": "x"}, "each entry of envs"),
        ("KEY=x", "each entry of envs"),
        ({"name": "K", "stages": "all"}, "'envs.stages'.*did you mean 'stage'"),
        ({"name": "K", "stage": "deploy"}, r"envs\[K\].stage is 'deploy'"),
    ],
)
def test_an_environment_variable_that_cannot_be_used(env: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_envs("Service", [env])
