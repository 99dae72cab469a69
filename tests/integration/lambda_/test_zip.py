"""A bento as a zip with layers: unpacked as Lambda does it, and run by the stock awslambdaric."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lambda_machine
import pytest
from lambda_machine import Machine

from bentofn.adapters.local.interpreter import find_python
from bentofn.adapters.local.lambda_.client import client_directory
from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.packager.home import Home
from bentofn.packager.lambda_.package import package
from bentofn.packager.lambda_.parts import LambdaPackage

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

SERVICE = """
from __future__ import annotations

import os
import sys

import bentofn

seen = []


@bentofn.service
class Greeter:
    words = bentofn.models.BentoModel("words:1")

    def __init__(self) -> None:
        self.word = (self.words.path / "word.txt").read_text()

    @bentofn.after_restore
    def after(self) -> None:
        seen.append("after")

    @bentofn.api(examples=[{"name": "Example"}])
    def greet(self, name: str = "you") -> str:
        if name == "Example":
            seen.append("example")
        return f"Hello {name}, {self.word}"  # change

    @bentofn.api
    def surroundings(self) -> dict[str, object]:
        stale = [
            name
            for name, module in list(sys.modules.items())
            if (getattr(module, "__file__", None) or "").startswith(("/opt", "/var/task"))
            and (getattr(module, "__file__", None) or "").endswith(".py")
            and not os.path.exists(module.__cached__)
        ]
        return {
            "cwd": os.getcwd(),
            "user": os.getuid(),
            "seen": seen,
            "compiled": stale,
            "heavy": sorted({"uvicorn", "boto3", "aiohttp", "httpx", "torch"} & set(sys.modules)),
            "powertools": "aws_lambda_powertools" in sys.modules,
            "writable": [p for p in ("/opt", "/var/task", "/") if os.access(p, os.W_OK)],
            "tmp": os.access("/tmp", os.W_OK),
        }
"""
TWO_SERVICES = """
import bentofn


@bentofn.service
class Words:
    def __init__(self) -> None:
        self.seen = ["construct"]

    @bentofn.after_restore
    def after(self) -> None:
        self.seen.append("after")

    @bentofn.api
    def split(self, text: str) -> list[str]:
        return text.split()

    @bentofn.api
    def told(self) -> list[str]:
        return self.seen


@bentofn.service
class Greeter:
    words = bentofn.depends(Words)

    @bentofn.api
    async def greet(self, names: str) -> list[str]:
        return [f"Hello {name}" for name in await self.words.to_async.split(names)]

    @bentofn.api
    def told(self) -> list[str]:
        return self.words.told()
"""
BENTOFILE = 'service: "service:Greeter"\ninclude: ["*.py"]\nmodels: ["words:1"]\n'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, bentofn: Any) -> Home:
    folder = tmp_path_factory.mktemp("zip")
    home = Home(folder / "home")
    (folder / "model").mkdir()
    (folder / "model" / "word.txt").write_text("there")
    model = str(folder / "model")
    bentofn("models", "import", model, "--name", "words", "--version", "1", home=home.path)
    return home


Build = Callable[..., LambdaPackage]


@pytest.fixture(scope="module")
def build(home: Home, bentofn: Any, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds the service, as it is or changed, and packages it."""

    def build(change: Callable[[str], str] = str, home: Home = home) -> LambdaPackage:
        project = tmp_path_factory.mktemp("project")
        (project / "service.py").write_text(change(SERVICE))
        (project / "bentofile.yaml").write_text(BENTOFILE)
        built = json.loads(bentofn("build", str(project), "--json", home=home.path).stdout)
        return package(home, built["tag"], "zip", print)

    return build


@pytest.fixture(scope="module")
def packaged(build: Build) -> LambdaPackage:
    return build()


Make = Callable[[LambdaPackage], Machine]


@pytest.fixture(scope="module")
def make_machine(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Unpacks a package as Lambda does."""
    if reason := lambda_machine.why_not():
        pytest.skip(reason)
    python = find_python(PYTHON)
    client = client_directory(home, PYTHON, python)
    alone = lambda_machine.lambdas_own(client, tmp_path_factory.mktemp("runtime"))

    def make(packaged: LambdaPackage) -> Machine:
        opt, task = lambda_machine.unpack(packaged, tmp_path_factory.mktemp("function"))
        return Machine(opt, task, python.parent.parent, alone)

    return make


@pytest.fixture(scope="module")
def machine(packaged: LambdaPackage, make_machine: Make) -> Machine:
    return make_machine(packaged)


def ask(url: str, event: Any) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, json.dumps(event).encode(), timeout=60) as answer:
        return json.load(answer)


def check_surroundings(found: dict[str, Any]) -> None:
    assert found["cwd"] == "/var/task/src"
    assert found["user"] != 0
    assert found["writable"] == []
    assert found["tmp"]
    assert found["heavy"] == []


def test_it_answers_under_awss_emulator_from_what_it_may_only_read(
    machine: Machine, rie: Path, packaged: LambdaPackage
) -> None:
    variables = {
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        **packaged.environment,
    }
    with machine.emulated(rie, packaged.handler, variables) as emulated:
        assert ask(emulated.url, {"api": "greet", "body": {"name": "Ada"}}) == "Hello Ada, there"
        found = ask(emulated.url, {"api": "surroundings", "body": {}})
    check_surroundings(found)
    assert found["compiled"] == [], "these were compiled while the function started"
    assert not found["powertools"]
    assert found["seen"] == ["after"]


def test_awss_emulator_brings_it_events_of_every_kind(
    machine: Machine, rie: Path, packaged: LambdaPackage, generate: Callable[..., dict[str, Any]]
) -> None:
    request = generate("apigateway", "http-api-proxy", path="greet", method="POST")
    request |= {"body": '{"name": "Ada"}', "isBase64Encoded": False}
    request["headers"] = {"content-type": "application/json"}
    queue = generate("sqs", "receive-message")
    queue["Records"][0]["body"] = '{"name": "Ada"}'
    broken = json.loads(json.dumps(queue))
    broken["Records"].append({**queue["Records"][0], "messageId": "second", "body": "no JSON"})
    schedule = generate("cloudwatch", "scheduled-event")
    variables = {**packaged.environment, "BENTOFN_EVENTS": "greet"}
    with machine.emulated(rie, packaged.handler, variables) as emulated:
        answer = ask(emulated.url, request)
        assert (answer["statusCode"], answer["body"]) == (200, "Hello Ada, there")
        assert ask(emulated.url, queue) == {"batchItemFailures": []}
        failed = {"batchItemFailures": [{"itemIdentifier": "second"}]}
        assert ask(emulated.url, broken) == failed
        assert ask(emulated.url, schedule) == "Hello you, there"


async def test_it_is_restored_by_snapstart(machine: Machine, packaged: LambdaPackage) -> None:
    function = Configuration(
        "greet", packaged.handler, PYTHON, memory=1024, timeout=20.0, snap_start=True
    )
    async with machine.restored(function, []) as ask:
        assert await ask({"api": "greet", "body": {}}) == "Hello you, there"
        found = await ask({"api": "surroundings", "body": {}})
    check_surroundings(found)
    assert found["seen"] == ["example", "after"]


async def test_two_services_run_in_one_environment(build: Build, make_machine: Make) -> None:
    packaged = build(lambda _: TWO_SERVICES)
    function = Configuration(
        "greet", packaged.handler, PYTHON, memory=1024, timeout=20.0, snap_start=True
    )
    async with make_machine(packaged).restored(function, []) as ask:
        answer = await ask({"api": "greet", "body": {"names": "Ada Alan"}})
        assert answer == ["Hello Ada", "Hello Alan"]
        assert await ask({"api": "told", "body": {}}) == ["construct", "after"]


def test_a_change_of_code_changes_the_function_and_no_layer(
    build: Build, packaged: LambdaPackage
) -> None:
    changed = build(lambda source: source.replace("Hello", "Goodbye"))
    assert changed.function.digest != packaged.function.digest
    assert changed.layers == packaged.layers
    assert [part.name for part in packaged.parts] == [
        "function", "environment", "bytecode", "runtime", "models",
    ]  # fmt: skip
    assert packaged.function.size < 20_000
    assert packaged.problems == ()


def test_another_home_makes_the_same_bytes(
    build: Build, packaged: LambdaPackage, bentofn: Any, tmp_path: Path
) -> None:
    other = Home(tmp_path / "home")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "word.txt").write_text("there")
    command = ("models", "import", str(tmp_path / "model"), "--name", "words", "--version", "1")
    bentofn(*command, home=other.path)
    again = build(home=other)
    assert [part.digest for part in again.parts] == [part.digest for part in packaged.parts]
