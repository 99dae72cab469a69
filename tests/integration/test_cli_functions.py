"""Functions through the command line: what a user sees of failures, of Ctrl-C and of --json."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bentofn.adapters.local import daemon
from bentofn.packager.home import Home

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

SECRETIVE = """
import os

import bentofn

@bentofn.service(
    name="secretive",
    path_prefix="/v1",
    envs=[{"name": "TOKEN"}, {"name": "KIND", "value": "plain"}],
)
class Secretive:
    @bentofn.api
    def ask(self) -> list[str | None]:
        return [os.environ.get("TOKEN"), os.environ.get("KIND")]
"""
SERVERLESS = """
service: secretive
provider: {name: aws}
functions:
  secretive: {handler: x.y, environment: {TOKEN: "${env:SECRETIVE_TOKEN}"}}
custom: {bentofn: {functions: {secretive: {project: .}}}}
"""
FAILING = """
import bentofn

@bentofn.service(name="failing")
class Failing:
    def __init__(self):
        print("reading the weights")
        raise ValueError("no weights here")

    @bentofn.api
    def ask(self) -> str: ...
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, bentofn: Bentofn) -> Iterator[Path]:
    """A home whose platform runs the function ``hello``."""
    folder = tmp_path_factory.mktemp("functions")
    home = folder / "home"
    bentofn("init", str(folder / "hello"), home=home)
    bentofn("emulator", "start", "--port", "0", home=home)
    bentofn("deploy", str(folder / "hello"), "--no-wait", home=home)
    yield home
    daemon.stop(Home(home))


def one_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("Error: "))
    return error


def test_a_service_that_does_not_start_is_named_and_its_log_can_be_read(
    tmp_path: Path, home: Path, bentofn: Bentofn
) -> None:
    (tmp_path / "service.py").write_text(FAILING)
    (tmp_path / "bentofile.yaml").write_text("service: service:Failing\n")
    said = one_error(bentofn("deploy", str(tmp_path), home=home, check=False))
    assert "failing does not start" in said
    assert "no weights here" in said
    assert "bentofn logs failing" in said
    assert "reading the weights" in bentofn("logs", "failing", home=home).stdout
    assert "failing" not in bentofn("status", home=home).stdout


def test_declared_variables_reach_the_instance_and_missing_ones_are_named(
    tmp_path: Path, home: Path, bentofn: Bentofn, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "service.py").write_text(SECRETIVE)
    (tmp_path / "bentofile.yaml").write_text("service: service:Secretive\n")
    done = bentofn("deploy", str(tmp_path), "--no-wait", home=home)
    assert "Warning: secretive runs without TOKEN" in done.stderr
    assert json.loads(bentofn("invoke", "secretive", "{}", home=home).stdout) == [None, "plain"]
    (tmp_path / "serverless.yml").write_text(SERVERLESS)
    monkeypatch.setenv("SECRETIVE_TOKEN", "t0k3n")
    done = bentofn("deploy", str(tmp_path), "--no-wait", home=home)
    assert "Warning" not in done.stderr
    assert json.loads(bentofn("invoke", "secretive", "{}", home=home).stdout) == ["t0k3n", "plain"]
    bentofn("destroy", "secretive", home=home)


BOTH = """
service: both
provider: {name: aws}
functions:
  failing: {handler: x.y}
  missing: {handler: x.y}
  hello-again: {handler: x.y}
custom: {bentofn: {functions: {failing: {project: .}, missing: {bento: "no:1"},
  hello-again: {bento: hello}}}}
"""


def test_a_function_that_fails_does_not_keep_the_others(
    tmp_path: Path, home: Path, bentofn: Bentofn
) -> None:
    (tmp_path / "service.py").write_text(FAILING)
    (tmp_path / "bentofile.yaml").write_text("service: service:Failing\n")
    (tmp_path / "serverless.yml").write_text(BOTH)
    options = (str(tmp_path), "--no-wait")
    done = bentofn("deploy", *options, home=home, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("hello-again  hello:")
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert [error.split()[1] for error in errors] == ["failing", "missing"]
    assert "no weights here" in errors[0]
    done = bentofn("deploy", *options, "--json", home=home, check=False)
    assert done.returncode == 1
    kept, failing, missing = json.loads(done.stdout)
    assert (kept["name"], kept["changed"]) == ("hello-again", False)
    assert (failing["name"], missing["name"]) == ("failing", "missing")
    assert "no weights here" in failing["error"]
    bentofn("destroy", "hello-again", home=home)


MIXED = """
service: both
provider: {name: aws}
functions:
  page: {handler: index.handler, runtime: nodejs20.x}
  hello-again: {handler: x.y}
custom: {bentofn: {functions: {hello-again: {bento: hello}}}}
"""


def test_a_function_of_another_runtime_is_refused_by_name(
    tmp_path: Path, home: Path, bentofn: Bentofn
) -> None:
    (tmp_path / "serverless.yml").write_text(MIXED)
    both = bentofn("plan", str(tmp_path), home=home, check=False)
    assert both.returncode == 1
    assert both.stdout.startswith("hello-again on local: changes")
    assert "Error: page is not planned: Function 'page' has the runtime nodejs20.x" in both.stderr
    planned, page = json.loads(
        bentofn("plan", str(tmp_path), "--json", home=home, check=False).stdout
    )
    assert (planned["function"], page["name"]) == ("hello-again", "page")
    options = (str(tmp_path), "--function", "hello-again")
    assert "hello-again on local" in bentofn("plan", *options, home=home).stdout


@pytest.mark.parametrize("command", ["plan", "deploy"])
def test_a_secret_that_is_not_set_is_told_before_anything_is_built(
    tmp_path: Path, home: Path, bentofn: Bentofn, command: str
) -> None:
    (tmp_path / "service.py").write_text(SECRETIVE)
    (tmp_path / "bentofile.yaml").write_text("service: service:Secretive\n")
    (tmp_path / "serverless.yml").write_text(
        SERVERLESS.replace("project: .", "secrets: {TOKEN: env:NEVER_SET}")
    )
    variables = {"SECRETIVE_TOKEN": "x"}
    done = bentofn(command, str(tmp_path), home=home, check=False, **variables)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: Secret TOKEN comes from the variable NEVER_SET")


def test_what_is_neither_a_folder_nor_a_bento(home: Path, bentofn: Bentofn) -> None:
    said = bentofn("plan", "nowhere", home=home, check=False)
    assert "There is no folder nowhere here. There is no bento nowhere in" in said.stderr


def test_a_file_in_place_of_its_folder(tmp_path: Path, home: Path, bentofn: Bentofn) -> None:
    (tmp_path / "serverless.yml").write_text(SERVERLESS)
    said = one_error(bentofn("deploy", str(tmp_path / "serverless.yml"), home=home, check=False))
    assert f"is a file; name the folder that it is in: bentofn deploy {tmp_path}." in said


@pytest.mark.parametrize("command", [["invoke"], ["status"], ["logs"], ["destroy"]])
def test_the_nearest_function_is_named(home: Path, bentofn: Bentofn, command: list[str]) -> None:
    said = one_error(bentofn(*command, "helo", home=home, check=False))
    assert "did you mean 'hello'?" in said


def test_invoke_prints_one_document(home: Path, bentofn: Bentofn) -> None:
    done = bentofn("invoke", "hello", '{"name": "Zoë"}', "--json", home=home)
    answer = json.loads(done.stdout)
    assert (answer["status"], answer["body"]) == (200, "Hello, Zoë!")
    assert answer["headers"]["x-bentofn-start"]


def test_a_refused_request_is_the_callers_mistake(home: Path, bentofn: Bentofn) -> None:
    done = bentofn("invoke", "hello", '{"nme": 1}', "--json", home=home, check=False)
    document = json.loads(done.stdout)
    assert document["status"] == 400
    assert document["error"] in one_error(done)
    assert "refused the request" in document["error"]


@pytest.mark.parametrize(("data", "said"), [("{nme", "not JSON"), ("@/no/such", "/no/such")])
def test_data_that_cannot_be_sent(home: Path, bentofn: Bentofn, data: str, said: str) -> None:
    assert said in one_error(bentofn("invoke", "hello", data, home=home, check=False))


def test_a_deployed_bento_is_not_deleted(home: Path, bentofn: Bentofn) -> None:
    said = one_error(bentofn("delete", "hello", home=home, check=False))
    assert "bentofn destroy hello" in said
    assert len(json.loads(bentofn("list", "--json", home=home).stdout)) >= 1


@pytest.mark.parametrize("arguments", [["logs", "hello", "-f"], ["logs", "hello", "-f", "--json"]])
def test_ctrl_c_ends_following_a_log(home: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "bentofn", *arguments]
    environment = {**os.environ, "BENTOFN_HOME": str(home)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, "")


def test_a_damaged_database_of_deployments_is_named(tmp_path: Path, bentofn: Bentofn) -> None:
    (tmp_path / "deployments.db").write_bytes(b"not a database" * 100)
    for command in (["status"], ["invoke", "hello"], ["destroy", "hello"]):
        assert "deployments.db" in one_error(bentofn(*command, home=tmp_path, check=False))


def test_the_platform_comes_back_on_its_port(tmp_path: Path, bentofn: Bentofn) -> None:
    first = json.loads(bentofn("emulator", "start", "--port", "0", "--json", home=tmp_path).stdout)
    bentofn("emulator", "stop", home=tmp_path)
    again = json.loads(bentofn("emulator", "start", "--json", home=tmp_path).stdout)
    bentofn("emulator", "stop", home=tmp_path)
    assert again["url"] == first["url"]


def test_profiles_are_printed_with_their_sources(home: Path, bentofn: Bentofn) -> None:
    assert "knative" in bentofn("emulator", "profiles", home=home).stdout
    shown = bentofn("emulator", "profiles", "lambda", home=home).stdout
    assert "concurrency = 1  D  https://docs.aws.amazon.com/" in shown
    every = json.loads(bentofn("emulator", "profiles", "--json", home=home).stdout)
    assert every["knative"]["scaling"]["stable_window"]["value"] == 60.0
    assert every["knative"]["scaling"]["idle_timeout"]["value"] is None
    said = one_error(bentofn("emulator", "profiles", "moon", home=home, check=False))
    assert "known: cloud-run" in said


def test_a_function_is_deployed_as_a_backends(home: Path, bentofn: Bentofn) -> None:
    said = one_error(bentofn("deploy", "hello", "--as", "moon", home=home, check=False))
    assert "There is no platform profile 'moon'" in said
    bentofn("deploy", "hello", "--as", "modal", "--no-wait", home=home)
    (found,) = json.loads(bentofn("status", "hello", "--json", home=home).stdout)
    assert found["profile"] == "modal"
    assert "hello: as modal, cost so far" in bentofn("status", "hello", home=home).stdout
    bentofn("deploy", "hello", "--as", "plain", "--no-wait", home=home)
