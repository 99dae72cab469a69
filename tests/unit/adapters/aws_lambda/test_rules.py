"""What Lambda would refuse is found before any call."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bentofn.adapters.aws_lambda.desired import desire
from bentofn.adapters.aws_lambda.names import Names
from bentofn.adapters.aws_lambda.price import cost_of
from bentofn.adapters.aws_lambda.region import problems_of_region
from bentofn.adapters.aws_lambda.role import function_role
from bentofn.adapters.aws_lambda.rules import (
    problems_of_package,
    problems_of_spec,
)
from bentofn.adapters.aws_lambda.snapstart import starts_snapped
from bentofn.adapters.aws_words import AwsSettings
from bentofn.adapters.batching import Batching
from bentofn.adapters.load import Load
from bentofn.adapters.local.core.profile import load_profile
from bentofn.adapters.plan import Problem
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.queues import Queue
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.secret import Secret
from bentofn.adapters.url import Cors, Url
from bentofn.packager.lambda_.parts import LambdaPackage, Part
from bentofn.runtime.aws_lambda.direct import DEFAULT
from bentofn.runtime.manifest import APIContract, BentoManifest, ServiceContract


def spec_problems(**settings: Any) -> list[Problem]:
    manifest = BentoManifest("greeter", "1", ServiceContract("g", "s:G"), "3.12", "linux/amd64")
    return problems_of_spec(
        FunctionSpec("greeter", "greeter:1", FunctionSettings(**settings)), manifest
    )


def test_a_bento_for_gpus_is_told_of() -> None:
    contract = ServiceContract("g", "s:G", config={"resources": {"gpu": 1}})
    manifest = BentoManifest("greeter", "1", contract, "3.12", "linux/amd64")
    locked = ("nvidia-cublas==1 --hash=sha256:0", "torch==2.0 --hash=sha256:0")
    spec = FunctionSpec("greeter", "greeter:1", FunctionSettings())
    told = {each.kind: each.sentence for each in problems_of_spec(spec, manifest)}
    assert "on Lambda it runs on the CPU" in told["differs"]
    assert "violation" not in told
    cuda = dataclasses.replace(manifest, lock=locked)
    assert "holds torch 2.0, a build for CUDA" in blocking(problems_of_spec(spec, cuda))


def blocking(problems: list[Problem]) -> str:
    return " ".join(
        f"[{each.field}] {each.sentence}"
        for each in problems
        if each.kind in ("violation", "refused")
    )


def package(kind: Any = "Zip", runtime: str = "python3.12", layers: int = 2) -> LambdaPackage:
    from pathlib import Path

    parts = tuple(Part(f"p{n}", "sha256:00", 1, 1, Path()) for n in range(layers + 1))
    return LambdaPackage(kind, "m.handler", runtime, "x86_64", parts)


SNAPPED = AwsSettings(snap_start=True)


def test_snapstart_of_an_image_is_refused_before_the_image_is_made() -> None:
    told = blocking(spec_problems(aws=AwsSettings(snap_start=True, package="image")))
    assert told == (
        "[packaging] SnapStart takes no images; package it as a zip, or leave out snapStart."
    )


@pytest.mark.parametrize(
    ("settings", "made", "told"),
    [
        ({}, package("Image"), "SnapStart takes no images"),
        ({"scratch": 1024}, package(), "ephemeralStorageSize is 1024"),
        ({}, package(runtime="python3.11"), "takes Python from 3.12 on"),
        ({"min_instances": 1}, package(), "provisioned concurrency exclude each other"),
        (
            {"aws": AwsSettings(snap_start=True, others={"fileSystemConfig": {"arn": "a"}})},
            package(),
            "no file systems of EFS",
        ),
        (
            {"aws": AwsSettings(snap_start=True, provisioned_concurrency=2)},
            package(),
            "leave out provisionedConcurrency",
        ),
    ],
)
def test_what_snapstart_does_not_go_with(
    settings: dict[str, Any], made: LambdaPackage, told: str
) -> None:
    wanted = FunctionSettings(**{"aws": SNAPPED, **settings})
    assert told in blocking(list(problems_of_package(wanted, made)))


def test_snapstart_goes_with_a_zip_of_python_3_12() -> None:
    assert list(problems_of_package(FunctionSettings(aws=SNAPPED), package())) == []


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"gpu": "L4"}, "Lambda has no GPUs"),
        ({"memory": 64}, "'memorySize' failed to satisfy constraint"),
        ({"memory": 20_000}, "'memorySize' failed to satisfy constraint"),
        ({"timeout": 901.0}, "'timeout' failed to satisfy constraint"),
        ({"concurrency": 4}, "one request at a time"),
        ({"batching": Batching(max_batch_size=8)}, "requests are not joined"),
        ({"url": Url(invoke_mode="RESPONSE_STREAM")}, "when the answer is whole"),
        ({"url": Url(cors=Cors(methods=("OPTIONS",)))}, "OPTIONS"),
        ({"url": Url(cors=Cors(credentials=True))}, "named origins"),
        ({"environment": {"AWS_REGION": "x"}}, "Lambda sets AWS_REGION itself"),
        ({"environment": {"BIG": "x" * 5000}}, "4096 bytes"),
        ({"description": "x" * 257}, "256 characters"),
        ({"secrets": {"A1": Secret("modal", "x")}}, "write ssm:NAME"),
        ({"aws": AwsSettings(name="x" * 65)}, "64 letters"),
        ({"aws": AwsSettings(role="MyRole")}, "must be the ARN"),
        ({"aws": AwsSettings(others={"fileSystemConfig": {"arn": "a"}})}, "needs a vpc"),
        ({"aws": AwsSettings(others={"tenancy": {}})}, "does not set it"),
        ({"aws": AwsSettings(others={"notAField": 1})}, "notAField"),
        ({"aws": AwsSettings(runtime="python3.13")}, "--python-version 3.13"),
        ({"architecture": "arm64"}, "--platform linux/arm64"),
        ({"schedules": (Schedule("s", "rate(1 day)", api="other"),)}, "calls 'other'"),
        ({"snapshot": "criu"}, "snapshot: auto"),
        (
            {"reserved_concurrency": 1, "aws": AwsSettings(provisioned_concurrency=2)},
            "over reservedConcurrency",
        ),
    ],
)
def test_what_lambda_refuses(settings: dict[str, Any], told: str) -> None:
    assert told in blocking(spec_problems(**settings))


def test_what_is_only_ignored_keeps_nothing_from_being_deployed() -> None:
    found = spec_problems(
        idle_timeout=30.0,
        cpu=2.0,
        batching=Batching(enabled=False),
        aws=AwsSettings(others={"versionFunction": True}),
    )
    assert blocking(found) == ""
    assert {"idleTimeout", "cpu", "versionFunction"} <= {each.field for each in found}


def test_a_function_has_five_layers() -> None:
    layers = [f"arn:aws:lambda:eu-central-1:1:layer:mine:{n}" for n in range(2)]
    wanted = FunctionSettings(aws=AwsSettings(others={"layers": layers}))
    assert "5 layers at most" in blocking(list(problems_of_package(wanted, package(layers=4))))
    assert list(problems_of_package(wanted, package(layers=3))) == []


def test_a_file_and_the_credentials_say_one_region() -> None:
    wanted = FunctionSettings(aws=AwsSettings(region="eu-west-1"))
    assert "AWS_DEFAULT_REGION=eu-west-1" in blocking(list(problems_of_region(wanted, "us-east-1")))
    assert list(problems_of_region(wanted, "eu-west-1")) == []


@pytest.mark.parametrize(
    ("aws", "field"),
    [
        (AwsSettings(others={"onError": {"Ref": "Topic"}}), "onError"),
        (AwsSettings(others={"vpc": {"subnetIds": [{"ImportValue": "subnet"}]}}), "vpc"),
        (AwsSettings(statements=({"Resource": {"GetAtt": "Table.Arn"}},)), "provider.iam.role"),
        (AwsSettings(managed_policies=({"Ref": "Policy"},)), "provider.iam.role"),
    ],
)
def test_what_only_cloudformation_could_tell_is_refused(aws: AwsSettings, field: str) -> None:
    assert f"[{field}] {field} must have plain ids and ARNs" in blocking(spec_problems(aws=aws))


def test_each_violation_is_a_sentence_of_its_own() -> None:
    found = spec_problems(memory=20_000, timeout=1000.0)
    assert [each.sentence for each in found if not each.sentence.endswith(".")] == []


@pytest.mark.parametrize("region", ["ap-east-2", "us-gov-west-1", "cn-north-1"])
def test_snapstart_is_off_where_aws_does_not_have_it(region: str) -> None:
    usual = FunctionSettings()
    assert starts_snapped(usual, package(), "eu-central-1")
    assert starts_snapped(usual, package(), "xx-new-1")  # one that is not known yet
    assert not starts_snapped(usual, package(), region)
    [told] = problems_of_region(usual, region, package())
    assert (told.kind, region in told.sentence) == ("differs", True)
    [told] = problems_of_region(FunctionSettings(aws=SNAPPED), region, package())
    assert (told.kind, told.field) == ("violation", "snapStart")
    [told] = problems_of_region(
        usual, region, dataclasses.replace(package(), fetched=package().parts[:1])
    )
    assert "packaging: image" in told.sentence
    assert list(problems_of_region(usual, "eu-central-1", package())) == []


def test_snapshots_of_all_versions_that_are_kept_cost_something() -> None:
    names = Names("greeter", "greeter", "aws", "eu-central-1", "123456789012")
    spec = FunctionSpec("greeter", "greeter:1")
    wanted = desire(spec, names, ("greeter:1", "sha256:00"), package(), {})
    parts = {each.what: each.per_month for each in cost_of(wanted, Load(0.0001)).parts}
    one = 730 * 3600 * 1.0 * load_profile("lambda").price.rule.cache_per_gib_second  # type: ignore[union-attr]
    assert parts["snapshots of 3 versions"] == pytest.approx(3 * one, rel=0.02)


def test_a_file_system_is_mounted_by_its_access_point_only() -> None:
    place = "arn:aws:elasticfilesystem:eu-central-1:123456789012"
    files = {"arn": f"{place}:access-point/fsap-1", "localMountPath": "/mnt/a"}
    settings = FunctionSettings(aws=AwsSettings(others={"fileSystemConfig": files}))
    names = Names("greeter", "greeter", "aws", "eu-central-1", "123456789012")
    statement = function_role(names, settings, (), fetches=False).statements[-1]
    assert statement["Resource"] == [f"{place}:file-system/*"]
    assert statement["Condition"] == {
        "StringEquals": {"elasticfilesystem:AccessPointArn": files["arn"]}
    }


def test_a_plan_says_that_a_url_is_public() -> None:
    def kinds(url: Url | None) -> list[str]:
        return [each.kind for each in spec_problems(url=url) if each.field == "url"]

    assert kinds(Url()) == ["public"]
    assert kinds(Url(authorizer="aws_iam")) == kinds(None) == []


@pytest.mark.parametrize(
    "aws",
    [
        AwsSettings(statements=({"Resource": "arn:aws:s3:::${AWS::AccountId}-a"},)),
        AwsSettings(others={"kmsKeyArn": "arn:aws:kms:${AWS::Region}:1:key/a"}),
        AwsSettings(others={"vpc": {"subnetIds": ["${AWS::StackName}"]}}),
    ],
)
def test_a_variable_of_cloudformations_is_not_deployed_as_it_is_written(aws: AwsSettings) -> None:
    assert "there is no CloudFormation here" in blocking(spec_problems(aws=aws))


def test_a_message_is_for_an_endpoint() -> None:
    queues = AwsSettings(queues=(Queue("arn:aws:sqs:eu-central-1:1:jobs"),))
    apis = tuple(APIContract(name, f"/{name}", {}, {}) for name in ("embed", "rank"))
    contract = ServiceContract("g", "s:G", apis=apis)
    manifest = BentoManifest("greeter", "1", contract, "3.12", "linux/amd64")

    def told(**environment: str) -> list[tuple[str, str]]:
        settings = FunctionSettings(aws=queues, environment=environment)
        found = problems_of_spec(FunctionSpec("greeter", "greeter:1", settings), manifest)
        told = [(each.kind, each.field) for each in found]
        return [each for each in told if each[1] in ("events.sqs", f"environment.{DEFAULT}")]

    assert told() == [("differs", "events.sqs")]
    assert told(**{DEFAULT: "rank"}) == []
    assert told(**{DEFAULT: "none"}) == [("violation", f"environment.{DEFAULT}")]
