"""A bento with more than a function and its layers hold: the rest is fetched into /tmp."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import lambda_machine
import pytest
from lambda_machine import Machine

from bentofn.adapters.local.interpreter import find_python
from bentofn.adapters.local.lambda_.client import client_directory
from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.packager.home import Home
from bentofn.packager.lambda_.package import package
from bentofn.packager.lambda_.parts import LambdaPackage
from bentofn.runtime.errors import UserError

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SIZE = 260 * 1024**2
OWN = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What Lambda's runtime has besides the client."""

SERVICE = """
import os

import bentofn


@bentofn.service
class Heavy:
    weights = bentofn.models.BentoModel("weights:1")

    def __init__(self) -> None:
        self.size = os.path.getsize(self.weights.path / "weights.bin")

    @bentofn.api
    def weigh(self) -> list:
        return [self.size, os.path.realpath(self.weights.path / "weights.bin")]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, bentofn: Any) -> Home:
    folder = tmp_path_factory.mktemp("heavy")
    home = Home(folder / "home")
    (folder / "model").mkdir()
    with (folder / "model" / "weights.bin").open("wb") as file:
        file.truncate(SIZE)
    (folder / "project").mkdir()
    (folder / "project" / "service.py").write_text(SERVICE)
    (folder / "project" / "bentofile.yaml").write_text(
        'service: "service:Heavy"\ninclude: ["*.py"]\nmodels: ["weights:1"]\n'
    )
    model = str(folder / "model")
    bentofn("models", "import", model, "--name", "weights", "--version", "1", home=home.path)
    bentofn("build", str(folder / "project"), home=home.path)
    return home


@pytest.fixture(scope="module")
def packaged(home: Home) -> LambdaPackage:
    return package(home, "heavy", "zip-fetched", print)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 on this machine."""
    address = f"127.0.0.1:{lambda_machine.free_port()}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", address[10:]]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as moto:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and moto.poll() is None:
            try:
                opener.open(f"http://{address}/moto-api/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://{address}"
        moto.terminate()


@pytest.fixture
def machine(packaged: LambdaPackage, home: Home, tmp_path: Path) -> Machine:
    if reason := lambda_machine.why_not():
        pytest.skip(reason)
    for folder in (tmp_path.parent, tmp_path):
        folder.chmod(0o755)
    opt, task = lambda_machine.unpack(packaged, tmp_path)
    python = find_python(PYTHON)
    (tmp_path / "runtime").mkdir()
    own = lambda_machine.lambdas_own(client_directory(home, PYTHON, python), tmp_path / "runtime")
    for name in OWN:
        found = Path(str(importlib.import_module(name).__file__))
        if found.name == "__init__.py":
            shutil.copytree(found.parent, own / name)
        else:
            shutil.copy(found, own)
    return Machine(opt, task, python.parent.parent, own)


def test_a_zip_alone_has_no_room(home: Home) -> None:
    with pytest.raises(UserError, match=r"heavy:\w+ as a zip: its files hold"):
        package(home, "heavy", "zip", print)


async def test_what_has_no_room_is_there_when_the_function_is_restored(
    packaged: LambdaPackage, machine: Machine, s3: str
) -> None:
    [weights] = packaged.fetched
    assert weights.unzipped == SIZE
    keys = {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3,
        "BENTOFN_FETCH": "s3://parts/heavy",
    }
    client = boto3.client(
        "s3",
        endpoint_url=s3,
        region_name="us-east-1",
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )
    client.create_bucket(Bucket="parts")
    name = f"heavy/{weights.digest.removeprefix('sha256:')}"
    client.put_object(Bucket="parts", Key=name, Body=weights.path.read_bytes())
    function = Configuration(
        "heavy",
        packaged.handler,
        PYTHON,
        memory=1024,
        timeout=20.0,
        snap_start=True,
        variables=keys,
    )
    async with machine.restored(function, []) as ask:
        size, place = await ask({})
    assert size == SIZE
    assert place.startswith("/tmp/bento/bento/models/weights/")
    client.put_object(Bucket="parts", Key=name, Body=weights.path.read_bytes()[:-1] + b"?")
    log: list[str] = []
    with pytest.raises(Exception, match="is damaged; deploy the function again"):
        async with machine.restored(function, log):
            pass


def test_the_list_of_it_travels_with_the_function(
    packaged: LambdaPackage, machine: Machine
) -> None:
    [listed] = json.loads((machine.task / "fetched.json").read_bytes())
    assert listed["digest"] == packaged.fetched[0].digest
    assert (machine.opt / listed["path"]).readlink() == Path("/tmp/bento") / listed["path"]
