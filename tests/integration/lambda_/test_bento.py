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

from bentofn.adapters.local.bentos import LocalBento, resolve_bento
from bentofn.adapters.local.engines.base import Launch
from bentofn.adapters.local.engines.forked.zygotes import Zygotes
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.adapters.local.engines.restored.zygotes import KeptZygotes
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.isolation.policy import UNLIMITED
from bentofn.adapters.local.lambda_.client import client_directory
from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.invocation import Invocation, InvocationResult
from bentofn.adapters.local.lambda_.launcher import LambdaLauncher
from bentofn.adapters.local.lambda_.setup import HANDLER, bento_setup
from bentofn.adapters.local.lambda_.snapstart import SnapStart
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.runtime.errors import UserError
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
def bento(home: Home, bentofn: Any, tmp_path_factory: pytest.TempPathFactory) -> LocalBento:
    project = tmp_path_factory.mktemp("greeter")
    (project / "service.py").write_text(SERVICE)
    (project / "bentofile.yaml").write_text(
        'service: "service:Greeter"\ninclude: ["*.py"]\n'
        "python:\n  packages: [snapshot-restore-py]\n"
    )
    built = json.loads(bentofn("build", str(project), "--json", home=home.path).stdout)
    return resolve_bento(home, built["tag"])


@pytest.fixture(scope="module")
def root(bento: LocalBento) -> BentoRoot:
    return bento.root


@pytest.fixture
async def launcher(home: Home, bento: LocalBento, tmp_path: Path) -> AsyncIterator[Any]:
    """Makes the launcher of a function with some settings."""
    restorer = Restorer(SnapshotStore(home))
    shared = Shared(Zygotes(print), restorer, KeptZygotes(restorer, print))
    made: list[LambdaLauncher] = []

    def make(**settings: Any) -> LambdaLauncher:
        chosen = FunctionSettings(profile="lambda", memory=1024, **settings)
        spec = FunctionSpec("greet", bento.tag, chosen)
        log = LogWriter(tmp_path / "log")
        made.append(LambdaLauncher(spec, bento, 7, UNLIMITED, log, shared))
        return made[-1]

    yield make
    for each in made:
        await each.close()
    await shared.close()


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


async def test_an_event_that_does_not_fit_is_told_what_is_wrong_with_it(ask: Ask) -> None:
    greet = await ask()
    failed = json.loads((await greet({"api": "greet", "body": {"name": 1}})).payload)
    assert failed["errorMessage"] == (
        "1 validation error for Input: name: Input should be a valid string"
    )


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


async def test_a_version_is_published_where_lambda_has_snapstart_for_its_python(
    launcher: Any,
) -> None:
    made = launcher(environment={"KEY": "k"})
    preparation = made.prepare()
    if sys.version_info >= (3, 12):
        await preparation
        assert (made.snapshot, made.next_kind, made.note) == ("snapstart", "restored", "")
    else:
        assert preparation is None
        assert (made.snapshot, made.next_kind) == ("none", "cold")
        assert "SnapStart takes Python 3.12 and later" in made.note
    environment, kind = await made.launch("greet-1", 1)
    assert kind == made.next_kind
    assert environment.trouble == ""
    await environment.stop(0.0)


async def test_snapstart_can_be_left_out_and_is_refused_to_older_pythons(launcher: Any) -> None:
    assert launcher(snapshot="none").prepare() is None
    if sys.version_info < (3, 12):
        with pytest.raises(UserError, match="SnapStart is not supported for python3"):
            await launcher(snapshot="criu").prepare()


async def test_reserved_variables_are_refused(launcher: Any) -> None:
    with pytest.raises(UserError, match="reserved keys: AWS_LAMBDA_FUNCTION_NAME, _HANDLER"):
        await launcher(environment={"AWS_LAMBDA_FUNCTION_NAME": "x", "_HANDLER": "y"}).launch(
            "a", 1
        )
