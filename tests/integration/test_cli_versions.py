"""`bentofn plan`, `versions`, `rollback` and `promote` on the local platform."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local import daemon
from bentofn.packager.home import Home
from bentofn.testing import wait_until

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]
SERVICE = """
import bentofn

@bentofn.service(name="greeter")
class Greeter:
    @bentofn.api
    def greet(self) -> str:
        return "WORD"
"""
SERVERLESS = """
service: greeter
provider: {name: aws}
functions:
  greeter: {handler: x.y, memorySize: 512, environment: {TOKEN: "${env:GREETER_TOKEN}"}}
custom: {bentofn: {functions: {greeter: {as: cloud-run}}}}
"""
SECRETS = "secrets: {SECRET: 'file:../secret'}"


class Project:
    """A project whose service says a word, and the command on its home."""

    def __init__(self, folder: Path, bentofn: Bentofn) -> None:
        self.folder, self.home = folder / "project", folder / "home"
        self._bentofn = bentofn
        self.folder.mkdir()
        (self.folder / "bentofile.yaml").write_text("service: service:Greeter\n")
        (self.folder / "serverless.yml").write_text(SERVERLESS)

    def say(self, word: str) -> None:
        (self.folder / "service.py").write_text(SERVICE.replace("WORD", word))

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._bentofn(*arguments, home=self.home, check=check, GREETER_TOKEN="hunter2")

    def json(self, *arguments: str, check: bool = True) -> Any:
        return json.loads(self.run(*arguments, "--json", check=check).stdout)

    def plan(self) -> Any:
        (found,) = self.json("plan", str(self.folder))
        return found

    def deploy(self, *options: str) -> Any:
        (found,) = self.json("deploy", str(self.folder), *options)
        return found

    def greeting(self) -> Any:
        return self.json("invoke", "greeter")["body"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, bentofn: Bentofn) -> Iterator[Project]:
    """One with its platform started."""
    project = Project(tmp_path_factory.mktemp("versions"), bentofn)
    project.run("emulator", "start", "--port", "0")
    yield project
    daemon.stop(Home(project.home))


def test_what_was_planned_is_deployed_and_taken_back(project: Project) -> None:
    project.say("hello")
    planned = {each["path"]: each["action"] for each in project.plan()["changes"]}
    assert planned == dict.fromkeys(
        ("function", "bento", "environment.TOKEN", "memorySize", "as"), "create"
    )
    assert project.json("status") == []
    assert project.deploy("--no-wait")["version"] == 1
    assert project.plan()["changes"] == []

    project.say("good day")
    assert [each["path"] for each in project.plan()["changes"]] == ["bento"]
    assert project.greeting() == "hello"
    assert project.deploy("--no-wait")["version"] == 2
    assert project.greeting() == "good day"

    assert project.json("rollback", "greeter")["version"] == 1
    assert project.greeting() == "hello"
    weights = {each["number"]: each["weight"] for each in project.json("versions", "greeter")}
    assert weights == {1: 1.0, 2: 0.0}
    promoted = project.json("promote", "greeter", "2")
    assert (promoted["version"], promoted["changed"]) == (2, True)
    assert project.json("rollback", "greeter", "2")["changed"] is False
    assert project.greeting() == "good day"

    project.say("good night")
    assert project.deploy("--no-wait")["version"] == 3


def test_a_version_that_is_not_there_is_refused_with_those_that_are(project: Project) -> None:
    said = project.run("rollback", "greeter", "9", check=False)
    assert said.returncode == 1
    assert "has no version 9; it has 1, 2" in said.stderr
    assert "no function 'nobody'" in project.run("versions", "nobody", check=False).stderr
    share = project.run("promote", "greeter", "1", "--percent", "10", check=False)
    assert "a share of the requests: all requests go to one version" in share.stderr
    assert "update-alias" in share.stderr


def test_a_plan_shows_no_value_of_a_variable_and_what_a_load_costs(project: Project) -> None:
    said = project.run("plan", str(project.folder), "--load", "1000/day,0.2s")
    assert "hunter2" not in said.stdout + said.stderr
    assert "1,000 requests a day of 0.2 s each, by the prices of profile cloud-run" in said.stdout
    wrong = project.run("plan", str(project.folder), "--load", "often", check=False)
    assert "write it as 100/day,0.2s" in wrong.stderr


def test_what_a_plan_refuses_a_deployment_refuses_with_the_same_sentence(
    project: Project,
) -> None:
    project.say("hello")
    file = project.folder / "serverless.yml"
    file.write_text(SERVERLESS.replace("as: cloud-run", "onCold: error"))
    try:
        said = project.run("plan", str(project.folder), check=False)
        assert said.returncode == 1
        (refusal,) = (line for line in said.stdout.splitlines() if "refused: " in line)
        refused = project.run("deploy", str(project.folder), check=False)
        assert refusal.removeprefix("  refused: ") in refused.stderr
        file.write_text(
            SERVERLESS.replace("as: cloud-run", "onCold: error, targets: {local: {onCold: hold}}")
        )
        project.run("plan", str(project.folder))
    finally:
        file.write_text(SERVERLESS)


def holding(folder: Path, value: bytes) -> list[Path]:
    """The files that hold a value."""
    found = []
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # it may go meanwhile, or be a socket
            if path.is_file() and value in path.read_bytes():
                found.append(path)
    return found


def test_a_secret_reaches_the_function_and_is_written_nowhere(project: Project) -> None:
    service = SERVICE.replace("import bentofn\n", "import os\n\nimport bentofn\n")
    told = service.replace('"WORD"', 'os.environ.get("SECRET", "nothing")')
    (project.folder / "service.py").write_text(told)
    secret, file = project.folder.parent / "secret", project.folder / "serverless.yml"
    secret.write_text("hunter3\n")
    file.write_text(SERVERLESS.replace("as: cloud-run", f"idleTimeout: 0.5, {SECRETS}"))
    try:
        assert "+ secrets.SECRET: set" in project.run("plan", str(project.folder)).stdout
        project.deploy()
        assert project.greeting() == "hunter3"
        assert project.deploy()["changed"] is False
        # What an instance has become is kept when it ends, but not with secrets.
        wait_until(lambda: project.json("status", "greeter")[0]["state"] == "zero", 60)
        assert holding(project.home, b"hunter3") == []

        secret.write_text("hunter4\n")
        assert project.plan()["changes"] == [
            {"path": "secrets.SECRET", "before": "set", "after": "changed", "action": "update"}
        ]
        assert project.deploy()["changed"] is True
        assert project.greeting() == "hunter4"
        secret.unlink()
        missing = project.run("deploy", str(project.folder), check=False)
        assert f"Secret SECRET comes from {secret}: No such file" in missing.stderr
    finally:
        file.write_text(SERVERLESS)
