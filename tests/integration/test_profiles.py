"""Functions deployed as a backend's: its rules, words and prices, with real processes."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from instances import make_root

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.client import Client
from bentofn.adapters.protocol import Deployed, FunctionSettings, FunctionSpec, FunctionStatus
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

SERVICE = """
import bentofn

@bentofn.service
class Service:
    @bentofn.api
    def size(self, text: str) -> int:
        return len(text)

    @bentofn.api
    def fill(self, megabytes: int) -> str:
        return "x" * (megabytes << 20)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_root(tmp_path_factory.mktemp("root") / "root", SERVICE)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Of a platform whose time only passes when it is told to."""
    home = Home(tmp_path_factory.mktemp("profiles") / "home")
    daemon.start(home, 0, speed=0.0)
    yield home
    daemon.stop(home)


def deploy(home: Home, root: Path, name: str, profile: str, **settings: int) -> Deployed:
    given = FunctionSettings(
        cpu=1,
        snapshot="none",
        profile=profile,
        **settings,  # type: ignore[arg-type]
    )
    spec = FunctionSpec(name, str(root), given)
    return LocalAdapter(home).apply(spec, lambda line: None, wait=False)


def tick(home: Home, seconds: float) -> None:
    endpoint = daemon.status(home)
    assert endpoint is not None
    Client(endpoint).tick(seconds)


def call(home: Home, name: str, text: str = "") -> tuple[int, dict[str, str], bytes]:
    return post(home, f"/{name}/size", {"text": text})


def post(home: Home, path: str, body: object) -> tuple[int, dict[str, str], bytes]:
    endpoint = daemon.status(home)
    assert endpoint is not None
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    found = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    connection.close()
    return found


def status(home: Home, name: str) -> FunctionStatus:
    (found,) = LocalAdapter(home).status(name)
    return found


def stopped(home: Home, name: str) -> None:
    """Wait until a function has no instance: processes end in the machine's time."""
    deadline = time.monotonic() + 30.0
    while status(home, name).instances:
        assert time.monotonic() < deadline, "its instances do not end"
        time.sleep(0.02)


def test_knative_keeps_an_instance_for_its_windows_and_then_none(home: Home, root: Path) -> None:
    deploy(home, root, "knative", "knative")
    assert call(home, "knative", "abc")[2] == b"3"
    tick(home, 45.0)
    assert status(home, "knative").state == "running"
    tick(home, 60.0)
    stopped(home, "knative")
    assert call(home, "knative")[1]["x-bentofn-start"] == "cold"


def test_sagemaker_refuses_at_zero_in_its_own_words(home: Home, root: Path) -> None:
    deploy(home, root, "components", "sagemaker-inference-components")
    assert call(home, "components")[0] == 200
    tick(home, 3600.0)
    code, headers, body = call(home, "components")
    assert (code, headers["x-amzn-errortype"]) == (400, "ValidationError")
    assert "Inference Component has no capacity" in json.loads(body)["Message"]


def test_runpod_is_paid_by_the_second_and_takes_its_payload(home: Home, root: Path) -> None:
    deploy(home, root, "runpod", "runpod")
    assert call(home, "runpod", "x" * (21 << 20))[0] == 413
    assert call(home, "runpod")[0] == 200
    before = status(home, "runpod")
    assert (before.profile, before.currency) == ("runpod", "USD")
    tick(home, 3.0)
    paid = status(home, "runpod").cost - before.cost
    assert paid == pytest.approx(3 * 0.00019)
    tick(home, 3.0)  # it is idle for longer than 5 s now
    stopped(home, "runpod")
    tick(home, 600.0)
    assert status(home, "runpod").cost - before.cost < 10 * 0.00019


def test_cloud_run_does_not_pass_on_what_is_over_its_limit(home: Home, root: Path) -> None:
    deploy(home, root, "large", "cloud-run")
    code, _, body = post(home, "/large/fill", {"megabytes": 33})
    assert code == 500
    assert b"on cloud-run it holds 33554432 at most" in body
    code, _, body = post(home, "/large/fill", {"megabytes": 31})
    assert (code, len(body)) == (200, 31 << 20)


def test_the_cost_is_that_of_the_profile_it_has_now(home: Home, root: Path) -> None:
    deploy(home, root, "moved", "runpod")
    assert call(home, "moved")[0] == 200
    tick(home, 3.0)
    assert status(home, "moved").cost > 0
    deploy(home, root, "moved", "plain")
    assert status(home, "moved").cost == 0.0


def test_what_a_backend_refuses_is_not_deployed(home: Home, root: Path) -> None:
    with pytest.raises(UserError, match=r"lambda refuses big: .* less than or equal to 10240"):
        deploy(home, root, "big", "lambda", memory=20000)
    with pytest.raises(UserError, match="There is no function"):
        status(home, "big")
    with pytest.raises(UserError, match="no platform profile 'moon'"):
        deploy(home, root, "big", "moon")


def test_what_differs_is_told_with_the_deploy(home: Home, root: Path) -> None:
    for changed in (True, False):
        deployed = deploy(home, root, "modal", "modal")
        assert deployed.changed == changed
        assert "would start up to 100 instances" in deployed.note


def test_the_profile_survives_the_platform(home: Home, root: Path) -> None:
    deploy(home, root, "kept", "cloud-run")
    daemon.stop(home)
    assert status(home, "kept").profile == "cloud-run"
    daemon.start(home, 0, speed=0.0)
    assert status(home, "kept").profile == "cloud-run"
