"""The roles of a function: what it runs as, and what its schedules call it as; no right too many.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html and
https://docs.aws.amazon.com/scheduler/latest/UserGuide/setting-up.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bentofn.adapters.aws_lambda.names import Names
from bentofn.adapters.settings import FunctionSettings

POLICY = "bentofn"
"""Name of the roles' own policy."""

VERSION = "2012-10-17"

_SENDS = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "lambda": "lambda:InvokeFunction",
    "events": "events:PutEvents",
    "s3": "s3:PutObject",
}
"""Service of a destination's ARN to what the function must be allowed to do there."""

_VPC = (
    "ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface", "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)  # fmt: skip
"""Of the managed policy AWSLambdaVPCAccessExecutionRole; AWS has them for all resources."""

_RECEIVES = ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes")

Statement = Mapping[str, Any]


@dataclass(frozen=True)
class Role:
    """A role as it is to be.

    Args:
        name: Its name.
        service: Who may take it on.
        condition: Under which condition.
        statements: What it may do.
        managed: ARNs of the policies that it has besides.
        boundary: ARN of the policy that bounds it; empty for none.
    """

    name: str
    service: str
    condition: Mapping[str, Any]
    statements: tuple[Statement, ...]
    managed: tuple[str, ...] = ()
    boundary: str = ""

    @property
    def trust(self) -> dict[str, Any]:
        """Who may take it on, as a policy."""
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Principal": {"Service": self.service},
            "Action": "sts:AssumeRole",
        }
        if self.condition:
            statement["Condition"] = dict(self.condition)
        return {"Version": VERSION, "Statement": [statement]}

    def policy(self, more: Sequence[Statement] = ()) -> dict[str, Any]:
        """What it may do, as a policy.

        Args:
            more: What it may do besides for now.
        """
        every = {json.dumps(each, sort_keys=True): each for each in (*self.statements, *more)}
        return {"Version": VERSION, "Statement": list(every.values())}


def function_role(
    names: Names, settings: FunctionSettings, sends_to: Sequence[str], *, fetches: bool
) -> Role:
    """The role that a function runs as.

    Args:
        names: The function's.
        settings: How it runs.
        sends_to: ARNs of its destinations and of where its dead letters go.
        fetches: Whether it reads files from its bucket.
    """
    statements = tuple(_statements(names, settings, sends_to, fetches=fetches))
    return Role(
        names.role,
        "lambda.amazonaws.com",
        {},
        (*statements, *settings.aws.statements),
        tuple(str(each) for each in settings.aws.managed_policies),
        settings.aws.permissions_boundary or "",
    )


def schedule_role(names: Names) -> Role:
    """The role that a function's schedules call it as."""
    return Role(
        names.schedule_role,
        "scheduler.amazonaws.com",
        {"StringEquals": {"aws:SourceAccount": names.account}},
        (_allow(["lambda:InvokeFunction"], [names.alias_arn]),),
    )


def _statements(
    names: Names, settings: FunctionSettings, sends_to: Sequence[str], *, fetches: bool
) -> Iterator[Statement]:
    others = settings.aws.others
    yield _allow(["logs:CreateLogStream", "logs:PutLogEvents"], [f"{names.log_group_arn}:*"])
    for arn in sorted(set(sends_to)):
        service = arn.split(":")[2]
        yield _allow([_SENDS[service]], [f"{arn}/*" if service == "s3" else arn])
        if service == "s3":
            yield _allow(["s3:ListBucket"], [arn])
    for queue in settings.aws.queues:
        yield _allow(list(_RECEIVES), [queue.arn])
    if fetches:
        yield _allow(["s3:GetObject"], [f"{names.bucket_arn}/{names.prefix}*"])
    if others.get("tracing"):
        yield _allow(["xray:PutTraceSegments", "xray:PutTelemetryRecords"], ["*"])
    if others.get("vpc"):
        yield _allow(list(_VPC), ["*"])
    key = others.get("kmsKeyArn") or others.get("awsKmsKeyArn")
    if key:
        yield _allow(["kms:Decrypt"], [str(key)])
    if others.get("fileSystemConfig"):
        yield _mounts(str(others["fileSystemConfig"]["arn"]))


def _mounts(access_point: str) -> Statement:
    """A file system is mounted, and the access point is how.

    Source: https://docs.aws.amazon.com/efs/latest/ug/access-points-iam-policy.html
    """
    place = access_point.partition(":access-point/")[0]
    return {
        **_allow(
            ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
            [f"{place}:file-system/*"],
        ),
        "Condition": {"StringEquals": {"elasticfilesystem:AccessPointArn": access_point}},
    }


def _allow(actions: list[str], resources: list[str]) -> Statement:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}
