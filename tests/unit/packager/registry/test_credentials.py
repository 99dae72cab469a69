import base64
import json
from pathlib import Path

import pytest

from bentofn.packager.registry.credentials import Credentials, find_credentials
from bentofn.runtime.errors import UserError

AUTH = base64.b64encode(b"me:se:cret").decode()


def find(folder: Path, config: object, registry: str = "r.example.com") -> Credentials | None:
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return find_credentials(registry, {"DOCKER_CONFIG": str(folder)})


def helper(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    program = folder / "docker-credential-test"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_no_configuration_is_no_credentials(tmp_path: Path) -> None:
    assert find_credentials("r.example.com", {"DOCKER_CONFIG": str(tmp_path / "none")}) is None


@pytest.mark.parametrize("server", ["r.example.com", "https://r.example.com/v1/"])
def test_a_login_of_docker(tmp_path: Path, server: str) -> None:
    config = {"auths": {"other.example.com": {"auth": "eDp5"}, server: {"auth": AUTH}}}
    assert find(tmp_path, config) == Credentials("me", "se:cret")
    assert find(tmp_path, config, "r.example.com:5000") is None


def test_docker_hub_has_its_own_name(tmp_path: Path) -> None:
    config = {"auths": {"https://index.docker.io/v1/": {"auth": AUTH}}}
    assert find(tmp_path, config, "docker.io") == Credentials("me", "se:cret")


def test_an_identity_token(tmp_path: Path) -> None:
    config = {"auths": {"r.example.com": {"auth": AUTH, "identitytoken": "refresh"}}}
    assert find(tmp_path, config) == Credentials(identity_token="refresh")


def test_a_helper_for_one_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = """read server; echo "{\\"Username\\": \\"$server\\", \\"Secret\\": \\"$1\\"}" """
    helper(tmp_path, monkeypatch, script)
    config = {"credHelpers": {"r.example.com": "test"}}
    assert find(tmp_path, config) == Credentials("r.example.com", "get")
    assert find(tmp_path, config, "other.example.com") is None


def test_a_helper_with_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, """echo '{"Username": "<token>", "Secret": "refresh"}'""")
    assert find(tmp_path, {"credsStore": "test"}) == Credentials(identity_token="refresh")


def test_a_helper_that_knows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper(tmp_path, monkeypatch, "echo credentials not found; exit 1")
    assert find(tmp_path, {"credsStore": "test"}) is None


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        {"auths": {"r.example.com": {"auth": "no base64!"}}},
        {"auths": {"r.example.com": "text"}},
        {"auths": ["r.example.com"]},
        {"credsStore": "../../bin/sh"},
        {"credsStore": "is-not-installed"},
    ],
)
def test_a_broken_configuration_is_named(tmp_path: Path, config: object) -> None:
    with pytest.raises(UserError, match=r"config\.json|is-not-installed"):
        find(tmp_path, config)


def test_credentials_are_never_shown() -> None:
    shown = repr(Credentials("me", "secret", "refresh"))
    assert not any(word in shown for word in ("me'", "secret", "refresh"))
