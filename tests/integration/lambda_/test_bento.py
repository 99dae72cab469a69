"""A bento as a Lambda function: what its handler makes of events, and when its service starts."""

from __future__ import annotations

import base64
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local.engines.base import Launch
from bentofn.adapters.local.lambda_.client import client_directory
from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.invocation import Invocation, InvocationResult
from bentofn.adapters.local.lambda_.setup import HANDLER, bento_setup
from bentofn.adapters.local.lambda_.snapstart import SnapStart
from bentofn.packager.home import Home
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest

SERVICE = """
from __future__ import annotations

import os
import random

import bentofn
from snapshot_restore_py import register_after_restore, register_before_snapshot

said = []
register_before_snapshot(said.append, "registered before")
register_after_restore(said.append, "registered after")


@bentofn.service
class Greeter:
    def __init__(self) -> None:
        said.append("constructed")
        self.number = random.random()

    @bentofn.before_snapshot
    def before(self) -> None:
        said.append("before")

    @bentofn.after_restore
    def after(self) -> None:
        said.append("after")

    @bentofn.on_startup
    async def startup(self) -> None:
        said.append("startup")

    @bentofn.api
    def greet(self, name: str = "you") -> dict[str, str]:
        if name == "nobody":
            raise ValueError("nobody to greet")
        return {"greeting": f"Hello {name}!", "key": os.environ["KEY"]}

    @bentofn.api
    async def life(self) -> list[str]:
        return said

    @bentofn.api
    def draw(self) -> float:
        return random.random()

    @bentofn.api
    def raw(self) -> bytes:
        return bytes([0, 1, 254, 255])
"""

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("lambda") / "home")


@pytest.fixture(scope="module")
def root(home: Home, bentofn: Any, tmp_path_factory: pytest.TempPathFactory) -> BentoRoot:
    project = tmp_path_factory.mktemp("greeter")
    (project / "service.py").write_text(SERVICE)
    (project / "bentofile.yaml").write_text(
        'service: "service:Greeter"\ninclude: ["*.py"]\n'
        "python:\n  packages: [snapshot-restore-py]\n"
    )
    built = json.loads(bentofn("build", str(project), "--json", home=home.path).stdout)
    from bentofn.adapters.local.bentos import resolve_bento

    return resolve_bento(home, built["tag"]).root


@pytest.fixture
async def ask(home: Home, root: BentoRoot) -> AsyncIterator[Ask]:
    made: list[tuple[LambdaEnvironment, SnapStart | None]] = []

    async def start(*, snap_start: bool = False) -> Callable[[Any], Any]:
        python = Path(sys.executable)
        function = Configuration(
            "greet",
            HANDLER,
            PYTHON,
            memory=1024,
            timeout=20.0,
            variables={"KEY": "k"},
            snap_start=snap_start,
        )
        log: list[tuple[str, ...]] = []
        launch = Launch(root.path, python, function.variables, Path(), print)
        client = client_directory(home, PYTHON, python)
        setup = bento_setup(function, launch, client, lambda *line: log.append(line))
        snapshots = SnapStart(setup) if snap_start else None
        environment = LambdaEnvironment(setup, "greet-1", snapshots.take if snapshots else None)
        made.append((environment, snapshots))
        await environment.ready()
        assert environment.trouble == "", log

        async def ask(event: Any) -> InvocationResult:
            body = json.dumps(event).encode()
            deadline = time.time() + function.timeout
            return await environment.invoke(Invocation(str(uuid.uuid4()), body, deadline))

        return ask

    yield start
    for environment, snapshots in made:
        await environment.stop(0.0)
        if snapshots is not None:
            await snapshots.close()


def url_event(path: str, body: bytes, method: str = "POST") -> dict[str, Any]:
    """A function URL's event, payload format 2.0."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "x.lambda-url.local"},
        "requestContext": {
            "accountId": "anonymous",
            "domainName": "x.lambda-url.local",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "test",
            },
            "requestId": "r",
            "routeKey": "$default",
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1767225600000,
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


async def test_a_function_urls_event_is_a_request(ask: Ask) -> None:
    greet = await ask()
    result = await greet(url_event("/greet", b'{"name":"Ada"}'))
    assert result.function_error is None, result.payload
    answer = json.loads(result.payload)
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"]) == {"greeting": "Hello Ada!", "key": "k"}
    ready = json.loads((await greet(url_event("/readyz", b"", "GET"))).payload)
    assert ready["statusCode"] == 200
    missing = json.loads((await greet(url_event("/nothing", b"{}"))).payload)
    assert missing["statusCode"] == 404
    failed = json.loads((await greet(url_event("/greet", b'{"name":"nobody"}'))).payload)
    assert failed["statusCode"] == 500
    raw = json.loads((await greet(url_event("/raw", b"{}"))).payload)
    assert raw["isBase64Encoded"]
    assert base64.b64decode(raw["body"]) == bytes([0, 1, 254, 255])


async def test_a_direct_invocation_names_its_endpoint(ask: Ask) -> None:
    greet = await ask()
    result = await greet({"api": "greet", "body": {"name": "Ada"}})
    assert json.loads(result.payload) == {"greeting": "Hello Ada!", "key": "k"}
    raw = json.loads((await greet({"api": "raw", "body": {}})).payload)
    assert base64.b64decode(raw["body"]) == bytes([0, 1, 254, 255])
    for event, kind in (
        ({"api": "greet", "body": {"name": "nobody"}}, "EndpointFailed"),
        ({"api": "greet", "body": {"name": 1}}, "EndpointFailed"),
        ({"name": "Ada"}, "UnknownEndpoint"),
        (None, "UnknownEndpoint"),
        ([1], "UnknownEndpoint"),
    ):
        result = await greet(event)
        assert (result.function_error, result.error_type) == ("Unhandled", kind), result.payload


async def test_on_demand_the_service_starts_straight_through(ask: Ask) -> None:
    greet = await ask()
    said = json.loads((await greet({"api": "life", "body": {}})).payload)
    assert said == [
        "constructed",
        "before",
        "registered before",
        "registered after",
        "after",
        "startup",
    ]


async def test_under_snapstart_it_starts_up_to_the_snapshot_and_goes_on_after_it(ask: Ask) -> None:
    greet = await ask(snap_start=True)
    said = json.loads((await greet({"api": "life", "body": {}})).payload)
    assert said == [
        "constructed",
        "before",
        "registered before",
        "registered after",
        "after",
        "startup",
    ]


def test_a_bento_brings_the_handler_along(root: BentoRoot) -> None:
    assert (root.runtime / "bentofn" / "runtime" / "aws_lambda" / "__init__.py").is_file()
    assert BentoManifest.read(root.manifest).python == PYTHON
