"""Lambda's API and function URLs on the real platform, with awslambdaric in the environments."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import site
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import awslambdaric
import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from otlp import Receiver

import bentofn
from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.core.billing import RequestPrice
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec, Snapshot
from bentofn.adapters.url import Cors, Url
from bentofn.packager.home import Home
from bentofn.runtime.manifest import APIContract, BentoManifest, ServiceContract

SERVICE = """
import os

import bentofn


@bentofn.service
class Words:
    @bentofn.api
    def say(self, word: str) -> str:
        print("asked to say", word, flush=True)
        if word == "fail":
            raise RuntimeError("it failed")
        if word.startswith("once "):
            path = word.removeprefix("once ")
            if not os.path.exists(path):
                open(path, "w").close()
                raise RuntimeError("not yet")
        return {prefix!r} + word
"""


def make_root(directory: Path, prefix: str) -> Path:
    """A bento root made of links, as unpacking makes one."""
    (directory / "src").mkdir(parents=True)
    (directory / "src" / "service.py").write_text(SERVICE.format(prefix=prefix))
    package = directory / "runtime" / "bentofn"
    package.mkdir(parents=True)
    for part in ("__init__.py", "models.py", "exceptions.py", "runtime"):
        (package / part).symlink_to((Path(bentofn.__path__[0]) / part).resolve())
    (directory / "env").mkdir()
    for entry in Path(site.getsitepackages()[0]).iterdir():
        if entry.suffix != ".pth" and "bentofn" not in entry.name:
            (directory / "env" / entry.name).symlink_to(entry)
    schema = {"type": "object"}
    manifest = BentoManifest(
        name="words",
        version="1",
        contract=ServiceContract(
            "Words", "service:Words", apis=(APIContract("say", "/say", schema, schema),)
        ),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        platform="linux/amd64",
    )
    (directory / "bento.json").write_bytes(manifest.to_json())
    return directory


class Running:
    """A platform of this test's own."""

    def __init__(self, home: Home, roots: Path) -> None:
        self.home = home
        self.roots = {prefix: make_root(roots / prefix, f"{prefix} ") for prefix in ("one", "two")}
        client = (
            home.cache / "aws-lambda" / f"python{sys.version_info.major}.{sys.version_info.minor}"
        )
        client.parent.mkdir(parents=True)
        client.symlink_to(Path(awslambdaric.__file__).parent.parent)
        self.url = daemon.start(home, port=0).url

    def deploy(
        self, name: str, root: str, url: Url | None = None, snapshot: Snapshot = "auto"
    ) -> None:
        settings = FunctionSettings(
            profile="lambda", url=url, timeout=20.0, memory=512, snapshot=snapshot
        )
        spec = FunctionSpec(name, str(self.roots[root]), settings)
        LocalAdapter(self.home).apply(spec, lambda line: None, wait=False)

    @property
    def client(self) -> Any:
        return boto3.client(
            "lambda",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
        )

    def say(self, word: str, name: str = "words", **arguments: Any) -> Any:
        payload = json.dumps({"word": word}).encode()
        return self.client.invoke(FunctionName=name, Payload=payload, **arguments)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    base = Path(tempfile.mkdtemp(prefix="bentofn-api-"))
    home = Home(base / "home")
    try:
        yield Running(home, tmp_path_factory.mktemp("roots"))
    finally:
        daemon.stop(home)
        shutil.rmtree(base)


@pytest.fixture(scope="module")
def platform(running: Running) -> Running:
    running.deploy("words", "one", Url(Cors(origins=("https://a.example",))))
    return running


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "It did not come to that."
        time.sleep(0.05)


def _kill(home: Home) -> None:
    endpoint = daemon.status(home)
    assert endpoint is not None
    os.kill(endpoint.pid, signal.SIGKILL)
    until(lambda: daemon.status(home) is None)


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_boto3_invokes_a_bento(platform: Running) -> None:
    answer = platform.say("hello", LogType="Tail")
    assert json.loads(answer["Payload"].read()) == "one hello"
    log = base64.b64decode(answer["LogResult"]).decode()
    assert "asked to say hello" in log
    id = answer["ResponseMetadata"]["RequestId"]
    assert f"REPORT RequestId: {id}\tDuration:" in log
    answer = platform.say("fail")
    assert answer["FunctionError"] == "Unhandled"
    assert "errorMessage" in json.loads(answer["Payload"].read())


def test_the_bill_is_what_the_reports_say(platform: Running) -> None:
    platform.deploy("billed", "one", snapshot="none")
    reports = []
    for word in ("hello", "fail", "again"):
        answer = platform.say(word, "billed", LogType="Tail")
        reports.append(base64.b64decode(answer["LogResult"]).decode().splitlines()[-1])
    milliseconds = [float(line.split("Billed Duration: ")[1].split(" ms")[0]) for line in reports]
    price = load_profile("lambda").price.rule
    assert isinstance(price, RequestPrice)
    expected = 3 * price.per_request + sum(milliseconds) / 1000 * 0.5 * price.per_gib_second
    (status,) = LocalAdapter(platform.home).status("billed")
    assert status.cost == pytest.approx(expected)


def test_invocations_belong_to_their_callers_traces(
    receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = Path(tempfile.mkdtemp(prefix="bentofn-api-"))
    try:
        traced = Running(Home(base / "home"), tmp_path_factory.mktemp("roots"))
        traced.deploy("traced", "one", Url())
        parent = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
        headers = {"traceparent": f"00-{parent}-01"}
        for path in ("/traced/say", "/2015-03-31/functions/traced/invocations"):
            answer = httpx.post(
                f"{traced.url}{path}", json={"word": "hello"}, headers=headers, timeout=60
            )
            assert answer.status_code == 200
    finally:
        daemon.stop(Home(base / "home"))
        shutil.rmtree(base)
    requests = [span for span in receiver.spans if span.name == "request"]
    assert [f"{span.trace}-{span.parent}" for span in requests] == [parent, parent]
    assert {span.service for span in requests} == {"traced"}
    inner = [span.name for span in receiver.spans if span.parent in {each.id for each in requests}]
    assert inner.count("inference") == 2


def test_its_url_speaks_http(platform: Running) -> None:
    origin = {"Origin": "https://a.example"}
    with httpx.Client(base_url=platform.url, timeout=60) as client:
        answer = client.post("/words/say", json={"word": "there"}, headers=origin)
        assert (answer.status_code, answer.text) == (200, "one there")
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert client.get("/words/nowhere").status_code == 404
        assert client.post("/words/say", content=b"{").status_code == 400
        assert client.post("/words/say", content=b"x" * 6_300_000).status_code == 413


def test_only_the_keys_of_the_home_call_a_url_with_iam(platform: Running) -> None:
    platform.deploy("guarded", "one", Url(authorizer="aws_iam"))
    command = [sys.executable, "-m", "bentofn", "emulator", "env", "--json"]
    environment = {**os.environ, "BENTOFN_HOME": str(platform.home.path)}
    shown = subprocess.run(command, env=environment, capture_output=True, check=True)
    variables = json.loads(shown.stdout)
    assert variables["AWS_ENDPOINT_URL_LAMBDA"] == platform.url
    path = platform.home.run / "aws-credentials"
    assert path.stat().st_mode & 0o777 == 0o600
    keys = variables["AWS_ACCESS_KEY_ID"], variables["AWS_SECRET_ACCESS_KEY"]
    credentials = Credentials(*keys)
    assert all(key in path.read_text() for key in keys)
    url, body = f"{platform.url}/guarded/say", b'{"word": "me"}'
    signed = AWSRequest("POST", url, data=body, headers={"Content-Type": "application/json"})
    SigV4Auth(credentials, "lambda", "us-east-1").add_auth(signed)
    answer = httpx.post(url, content=body, headers=dict(signed.headers.items()), timeout=60)
    assert (answer.status_code, answer.text) == (200, "one me")
    assert httpx.post(url, content=body).status_code == 403
    reply = LocalAdapter(platform.home).invoke("guarded", body)
    assert (reply.status, b"".join(reply.body)) == (200, b"one me")
    reply = LocalAdapter(platform.home).invoke("guarded", b'{"word": "fail"}')
    assert reply.status == 502
    assert b"errorMessage" in b"".join(reply.body)


def test_former_versions_answer_and_aliases_choose(platform: Running) -> None:
    platform.deploy("grown", "one", Url())
    platform.deploy("grown", "two", Url())
    client = platform.client
    assert json.loads(platform.say("x", "grown")["Payload"].read()) == "two x"
    former = platform.say("x", "grown:1")
    assert (json.loads(former["Payload"].read()), former["ExecutedVersion"]) == ("one x", "1")
    (status,) = LocalAdapter(platform.home).status("grown")
    assert {each.version for each in status.instances} == {1, 2}
    command = [sys.executable, "-m", "bentofn", "status", "grown"]
    environment = {**os.environ, "BENTOFN_HOME": str(platform.home.path)}
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "grown: version 1 still has an instance" in shown.stdout
    client.create_alias(
        FunctionName="grown",
        Name="live",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    answers = [platform.say("x", "grown:live") for _ in range(30)]
    seen = {(each["ExecutedVersion"], json.loads(each["Payload"].read())) for each in answers}
    assert seen == {("1", "one x"), ("2", "two x")}
    client.update_alias(FunctionName="grown", Name="live", RoutingConfig={})
    answer = httpx.post(f"{platform.url}/grown:live/say", json={"word": "y"}, timeout=60)
    assert answer.text == "one y"
    versions = client.list_versions_by_function(FunctionName="grown")["Versions"]
    assert [each["Version"] for each in versions] == ["$LATEST", "1", "2"]


def test_events_survive_a_kill_of_the_platform(running: Running, tmp_path: Path) -> None:
    running.deploy("later", "one")
    running.client.put_function_event_invoke_config(
        FunctionName="later",
        DestinationConfig={
            "OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:000000000000:done"},
        },
    )
    gate = tmp_path / "gate"
    answer = running.say(f"once {gate}", "later", InvocationType="Event")
    assert answer["StatusCode"] == 202
    until(gate.exists)
    until(lambda: LocalAdapter(running.home).status("later")[0].queued == 1)
    _kill(running.home)
    running.url = daemon.start(running.home, port=0, speed=600.0).url
    file = running.home.invocations / "destinations" / "sqs-done.jsonl"
    until(lambda: bool(lines(file)))
    (record,) = lines(file)
    assert record["requestContext"]["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert record["requestContext"]["condition"] == "Success"
    assert record["responsePayload"] == f"one once {gate}"


def test_a_function_of_another_profile_is_none_of_lambdas(running: Running) -> None:
    settings = FunctionSettings(snapshot="none")
    spec = FunctionSpec("plain", str(running.roots["one"]), settings)
    LocalAdapter(running.home).apply(spec, lambda line: None, wait=False)
    with pytest.raises(ClientError) as caught:
        running.say("x", "plain")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    answer = httpx.post(f"{running.url}/plain/say", json={"word": "x"}, timeout=60)
    assert answer.text == "one x"
