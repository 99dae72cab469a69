"""What instances may use, as the backend whose rules they run by limits it and reports it."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import awslambdaric
import pytest

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.client import Client
from bentofn.adapters.local.isolation.cells import Confinement
from bentofn.adapters.local.isolation.limits import Limits
from bentofn.adapters.local.isolation.policy import groups_record
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.manifest import APIContract, BentoManifest

from .test_platform import ignore, make_root

SERVICE = """
import os
import time

import bentofn


@bentofn.service
class Hog:
    @bentofn.api
    def take(self, mebi: int) -> int:
        return len(bytearray(mebi << 20))

    @bentofn.api
    def secret(self) -> int:
        return len(os.environ["TOKEN"])
"""

SECRET = "s3cr3t-that-stands-nowhere"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_root(tmp_path_factory.mktemp("limits") / "root", SERVICE, "hog")
    path = root / "bento.json"
    manifest = json.loads(BentoManifest.read(path).to_json())
    manifest["contract"]["apis"] = [
        vars(APIContract(n, f"/{n}", {}, {})) for n in ("secret", "take")
    ]
    manifest["contract"]["import_string"] = "service:Hog"
    manifest["contract"]["has_deployment_hook"] = False
    path.write_text(json.dumps(manifest))
    return root


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("BENTOFN_CRIU", "/nowhere/criu")
    with tempfile.TemporaryDirectory() as directory:
        home = Home(Path(directory) / "home")
        client = (
            home.cache / "aws-lambda" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        )
        client.parent.mkdir(parents=True)
        client.symlink_to(Path(awslambdaric.__file__).parent.parent)
        yield home
        daemon.stop(home)


@pytest.fixture
def limited(tmp_path: Path) -> None:
    confinement = Confinement(f"bentofn-test-{os.getpid()}", tmp_path / "groups.json")
    note = confinement.cells(Limits(memory=64 << 20, cpus=0.5)).note
    confinement.close()
    if note:
        pytest.skip(note)


Deploy = Callable[..., Client]


@pytest.fixture
def deploy(home: Home, root: Path) -> Deploy:
    def deploy(profile: str, **settings: Any) -> Client:
        made = FunctionSettings(profile=profile, snapshot="none", **settings)
        LocalAdapter(home, port=0).apply(FunctionSpec("hog", str(root), made), ignore)
        endpoint = daemon.status(home)
        assert endpoint is not None
        return Client(endpoint)

    return deploy


REPORTS = [
    ("plain", 502, "it needed more than its memory limit of 512 MiB (memorySize); its peak was 5"),
    ("cloud-run", 503, "Memory limit of 512 MiB exceeded with 5"),
    ("knative", 502, "OOMKilled, exit code 137"),
]


@pytest.mark.parametrize(("profile", "status", "report"), REPORTS)
@pytest.mark.usefixtures("limited")
def test_who_needs_too_much_memory_is_ended_and_reported_as_by_the_backend(
    deploy: Deploy, profile: str, status: int, report: str
) -> None:
    client = deploy(profile, memory=512)
    taken = client.invoke("hog", "/take", b'{"mebi": 8}')
    assert (taken.status, b"".join(taken.body)) == (200, b"8388608")
    refused = client.invoke("hog", "/take", b'{"mebi": 800}')
    assert refused.status == status
    assert report in json.loads(b"".join(refused.body))["error"]
    assert client.invoke("hog", "/take", b'{"mebi": 8}').status == 200


@pytest.mark.usefixtures("limited")
def test_lambda_reports_a_runtime_that_was_killed(deploy: Deploy) -> None:
    client = deploy("lambda", memory=512, timeout=30.0)
    path = "/2015-03-31/functions/hog/invocations"
    asked = json.dumps({"api": "take", "body": {"mebi": 800}}).encode()
    response = client._send("POST", path, asked, {})
    assert response.headers["X-Amz-Function-Error"] == "Unhandled"
    error = json.loads(response.read())
    assert error["errorType"] == "Runtime.ExitError"
    assert "signal: killed" in error["errorMessage"]


@pytest.mark.usefixtures("limited")
def test_a_profiles_cpu_share_holds_once_an_instance_serves(deploy: Deploy, home: Home) -> None:
    client = deploy("lambda", memory=1769 // 2, timeout=30.0)
    asked = json.dumps({"api": "take", "body": {"mebi": 8}}).encode()
    client._send("POST", "/2015-03-31/functions/hog/invocations", asked, {}).read()
    quotas = []
    for base in json.loads(groups_record(home).read_text()):
        for file in Path(base).glob("hog-*/cpu.*"):
            if file.name in ("cpu.max", "cpu.cfs_quota_us"):
                quotas.append(int(file.read_text().split()[0]))
    assert quotas == [round(884 / 1769 * 100_000)]


def test_a_secret_stands_in_no_log(deploy: Deploy, home: Home) -> None:
    client = deploy("plain", environment={"TOKEN": SECRET})
    assert b"".join(client.invoke("hog", "/secret", b"{}").body) == str(len(SECRET)).encode()
    (status,) = client.status()
    assert SECRET not in str(status)
    for process in Path("/proc").glob("[1-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            assert SECRET.encode() not in (process / "cmdline").read_bytes()
    daemon.stop(home)
    holding = [
        path.name
        for path in home.path.rglob("*")
        if path.is_file() and SECRET.encode() in path.read_bytes()
    ]
    # What is deployed must be known when the platform starts again; only its owner can read it.
    assert holding == ["deployments.db"]
    assert home.deployments_db.stat().st_mode & 0o077 == 0
