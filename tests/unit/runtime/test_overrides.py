from __future__ import annotations

import json
from pathlib import Path

import pytest

import bentofn
from bentofn.runtime.errors import UserError
from bentofn.runtime.overrides import override

KEYS = ("traffic", "workers", "http")


def merged(env: dict[str, str]) -> dict[str, object]:
    return override("Mine", {"traffic": {"timeout": 1, "concurrency": 2}}, KEYS, env)


def test_without_variables_nothing_changes() -> None:
    assert merged({}) == {"traffic": {"timeout": 1, "concurrency": 2}}


def test_options_are_for_every_service_or_for_one() -> None:
    options = 'services.workers=3 services.Mine.traffic.timeout=10 services."Other.A".workers=9'
    assert merged({"BENTOML_CONFIG_OPTIONS": options}) == {
        "traffic": {"timeout": 10, "concurrency": 2},
        "workers": 3,
    }


def test_values_are_json_or_text() -> None:
    options = 'services.http.cors.enabled=true services.http.host="a b" services.http.x=[1,2]'
    assert merged({"BENTOML_CONFIG_OPTIONS": options})["http"] == {
        "cors": {"enabled": True},
        "host": "a b",
        "x": [1, 2],
    }


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_file_comes_first_then_json_then_options(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"config.{suffix}"
    if suffix == "yaml":
        file.write_text("version: 2\nservices:\n  workers: 2\n  Mine: {traffic: {timeout: 5}}\n")
    else:
        file.write_text(
            json.dumps({"services": {"workers": 2, "Mine": {"traffic": {"timeout": 5}}}})
        )
    env = {"BENTOML_CONFIG": str(file)}
    assert merged(env) == {"traffic": {"timeout": 5, "concurrency": 2}, "workers": 2}
    env["BENTOML_CONFIG_OVERRIDES"] = '{"services": {"workers": 4}}'
    assert merged(env)["workers"] == 4
    env["BENTOML_CONFIG_OPTIONS"] = "services.workers=5"
    assert merged(env)["workers"] == 5


@pytest.mark.parametrize(
    ("env", "message"),
    [
        ({"BENTOML_CONFIG": "/no/such.yaml"}, "cannot be read"),
        ({"BENTOML_CONFIG_OVERRIDES": "[]"}, "must hold a JSON object"),
        ({"BENTOML_CONFIG_OVERRIDES": '{"services": 3}'}, "must hold a mapping as services"),
        ({"BENTOML_CONFIG_OPTIONS": "services.workers"}, "holds 'services.workers'"),
    ],
)
def test_what_cannot_be_read(env: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        merged(env)


def test_a_declared_service_is_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTOML_CONFIG_OPTIONS", "services.Named.threads=7")

    @bentofn.service(name="Named", threads=2)
    class Service:
        pass

    assert Service.config["threads"] == 7
    monkeypatch.setenv("BENTOML_CONFIG_OPTIONS", "services.Named.threads=none")
    with pytest.raises(UserError, match="threads must be a positive whole number, not 'none'"):
        bentofn.service(name="Named")(Service.inner)
