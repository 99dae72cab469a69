"""The commands deploy to AWS, as a user runs them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cloud import Aws

Run = Callable[..., subprocess.CompletedProcess[str]]

SERVICE = """\
import bentofn


@bentofn.service(name="hello")
class Hello:
    @bentofn.api
    def greet(self, name: str = "you") -> str:
        return f"Hello, {name}!"
"""


@pytest.fixture
def run(aws: Aws, tmp_path: Path) -> Run:
    project = tmp_path / "hello"
    project.mkdir()
    (project / "service.py").write_text(SERVICE)
    (project / "bentofile.yaml").write_text("service: service:Hello\n")

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bentofn", *command, "--target", "aws-lambda"],
            cwd=tmp_path,
            env={**os.environ, **aws.environment, "BENTOFN_HOME": str(tmp_path / "home")},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_a_project_without_a_file_is_planned_deployed_and_removed(run: Run) -> None:
    planned = run("plan", "hello", "--load", "1000/day,0.2s", "--json")
    assert planned.returncode == 0, planned.stderr
    [plan] = _listed(json.loads(planned.stdout))
    assert (plan["target"], plan["ok"], plan["cost"]["currency"]) == ("aws-lambda", True, "USD")
    deployed = run("deploy", "hello", "--json")
    assert deployed.returncode == 0, deployed.stderr
    [made] = _listed(json.loads(deployed.stdout))
    assert (made["name"], made["version"]) == ("hello", 1)
    versions = run("versions", "hello", "--json")
    assert versions.returncode == 0, versions.stderr
    again = run("plan", "hello")
    assert again.returncode == 0, again.stderr
    assert "SnapStart" in again.stdout + again.stderr
    removed = run("destroy", "hello")
    assert removed.returncode == 0, removed.stderr
    gone = run("status", "hello")
    assert gone.returncode != 0
    assert "Traceback" not in gone.stderr
    assert "hello" in gone.stderr


def _listed(raw: object) -> list[dict[str, object]]:
    return raw if isinstance(raw, list) else [raw]  # type: ignore[list-item]


def test_what_is_not_known_of_a_function_is_no_zero(run: Run) -> None:
    assert run("deploy", "hello", "--json").returncode == 0
    [status] = json.loads(run("status", "--json").stdout)
    assert status["instances"] is status["requests"] is status["cost"] is None
    header, row = run("status").stdout.splitlines()[:2]
    assert [row[header.index(each) :].split()[0] for each in ("INSTANCES", "REQUESTS")] == ["-"] * 2


def test_a_version_gets_a_share_of_the_requests(run: Run, tmp_path: Path) -> None:
    assert "bentofn deploy SOURCE --target aws-lambda deploys one" in run("status").stdout
    assert run("deploy", "hello").returncode == 0
    (tmp_path / "hello" / "service.py").write_text(SERVICE.replace("Hello,", "Good day,"))
    assert run("deploy", "hello").returncode == 0
    promoted = run("promote", "hello", "1", "--percent", "10")
    assert promoted.stdout == "hello  version 1 gets 10% of the requests\n"
    _, first, second = run("versions", "hello").stdout.splitlines()
    assert re.match(r"1 +10% +hello:\w+ +\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$", first.rstrip())
    assert second.split()[:2] == ["2", "90%"]
    promoted = run("promote", "hello", "1", "--percent", "0.4")
    assert "Giving 0.4% of the requests" in promoted.stderr
    shares = [line.split()[:2] for line in run("versions", "hello").stdout.splitlines()[1:]]
    assert shares == [["1", "0.4%"], ["2", "99.6%"]]
