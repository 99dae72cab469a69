"""What is made passes cfn-lint, and is what the Serverless Framework makes of the same file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aws_cloud import ACCOUNT, REGION
from aws_template import template

from bentofn.adapters.aws_lambda.desired import Desired, desire
from bentofn.adapters.aws_lambda.names import Names, function_name
from bentofn.adapters.spec import read_spec
from bentofn.packager.lambda_.parts import LambdaPackage, Part

FILE = f"""\
service: shop

provider:
  name: aws
  runtime: python3.12
  region: {REGION}
  logRetentionInDays: 14

functions:
  greeter:
    handler: bentofn.runtime.aws_lambda.handler
    description: Greets
    memorySize: 512
    timeout: 30
    ephemeralStorageSize: 1024
    reservedConcurrency: 5
    maximumRetryAttempts: 1
    environment:
      MOOD: good
    tags:
      team: one
    url:
      cors:
        allowedOrigins: [https://a.example]
        allowedMethods: [GET, POST]
        maxAge: 60
    events:
      - schedule:
          method: scheduler
          name: daily
          rate: cron(0 8 * * ? *)
          timezone: Europe/Berlin
          input:
            name: you
      - sqs:
          arn: arn:aws:sqs:{REGION}:{ACCOUNT}:jobs
          batchSize: 100
          maximumBatchingWindow: 5
          maximumConcurrency: 3
          functionResponseType: ReportBatchItemFailures
          filterPatterns: [{{body: {{kind: [a]}}}}]
"""


@pytest.fixture
def wanted(tmp_path: Path) -> Desired:
    (tmp_path / "serverless.yml").write_text(FILE)
    function = read_spec(tmp_path / "serverless.yml", {}, "aws-lambda").functions["greeter"]
    spec = function.spec("greeter:1")
    names = Names("greeter", function_name(spec), "aws", REGION, ACCOUNT)
    parts = [
        Part(name, f"sha256:{n:064}", 1, 1, Path()) for n, name in enumerate(("function", "a"))
    ]
    package = LambdaPackage("Zip", "bentofn_function.handler", "python3.12", "x86_64", tuple(parts))
    return desire(spec, names, ("greeter:1", "sha256:00"), package, {})


def test_cfn_lint_has_nothing_against_it(wanted: Desired, tmp_path: Path) -> None:
    path = tmp_path / "template.json"
    path.write_text(json.dumps(template(wanted)))
    command = [str(Path(sys.executable).with_name("cfn-lint")), str(path), "--regions", REGION]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = [line for line in done.stdout.splitlines() if line.startswith("E")]
    assert done.returncode in (0, 4), done.stdout + done.stderr  # 4: warnings
    assert told == []


def has_node() -> bool:
    """Whether there is a Node.js that osls runs on, and npm to fetch it with."""
    if shutil.which("npx") is None or shutil.which("node") is None:
        return False
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    major, minor = version.stdout.strip().lstrip("v").split(".")[:2]
    return (int(major), int(minor)) >= (20, 19)


@pytest.mark.slow
@pytest.mark.skipif(not has_node(), reason="osls needs Node.js 20.19 or later, with npm")
def test_the_framework_makes_the_same_of_the_file(wanted: Desired, tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "bentofn/runtime").mkdir(parents=True)
    (project / "serverless.yml").write_text(FILE)
    (project / "bentofn/runtime/aws_lambda.py").write_text("handler = None\n")
    done = subprocess.run(
        ["npx", "--yes", "osls@4.3.1", "package"],
        cwd=project,
        env={**os.environ, "SLS_TELEMETRY_DISABLED": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = project / ".serverless/cloudformation-template-update-stack.json"
    theirs = json.loads(made.read_text())["Resources"]
    ours = template(wanted)["Resources"]
    for kind, members in {
        "AWS::Lambda::Function": (
            "FunctionName", "Runtime", "MemorySize", "Timeout", "EphemeralStorage",
            "ReservedConcurrentExecutions",
        ),
        "AWS::Logs::LogGroup": ("LogGroupName", "RetentionInDays"),
        "AWS::Lambda::Url": ("AuthType",),
        "AWS::Lambda::EventInvokeConfig": ("MaximumRetryAttempts",),
        "AWS::Scheduler::Schedule": (
            "ScheduleExpression", "ScheduleExpressionTimezone", "State", "FlexibleTimeWindow",
        ),
        "AWS::Lambda::EventSourceMapping": (
            "EventSourceArn", "Enabled", "BatchSize", "MaximumBatchingWindowInSeconds",
            "FunctionResponseTypes", "ScalingConfig",
        ),
    }.items():  # fmt: skip
        left, right = only(ours, kind), only(theirs, kind)
        for member in members:
            assert left[member] == right[member], (kind, member)
    variables = only(theirs, "AWS::Lambda::Function")["Environment"]["Variables"]
    assert variables.items() <= wanted.configuration["Environment"]["Variables"].items()
    cors = only(theirs, "AWS::Lambda::Url")["Cors"]
    for member, value in only(ours, "AWS::Lambda::Url")["Cors"].items():
        assert cors[member] == value, member
    assert actions(theirs) == actions(ours)
    their_input = only(theirs, "AWS::Scheduler::Schedule")["Target"]["Input"]
    assert json.loads(their_input) == {"name": "you"}
    assert json.loads(only(ours, "AWS::Scheduler::Schedule")["Target"]["Input"]) == {"name": "you"}


def only(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    """The one resource of a kind."""
    [found] = [each["Properties"] for each in resources.values() if each["Type"] == kind]
    return dict(found)


def actions(resources: dict[str, Any]) -> set[tuple[str, str]]:
    """Who may do what with the function."""
    return {
        (each["Properties"]["Action"], each["Properties"]["Principal"])
        for each in resources.values()
        if each["Type"] == "AWS::Lambda::Permission"
    }
