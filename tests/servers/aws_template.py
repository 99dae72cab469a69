"""What the adapter makes, as CloudFormation would say it, for checkers of that."""

from __future__ import annotations

from typing import Any

from bentofn.adapters.aws_lambda.configuration import of_creation
from bentofn.adapters.aws_lambda.desired import Desired
from bentofn.adapters.aws_lambda.role import Role
from bentofn.adapters.aws_lambda.urls import OPEN, PERMISSIONS

_ALIAS = {"Ref": "Alias"}


def template(wanted: Desired) -> dict[str, Any]:
    """A template with a function's resources, under the names of their kinds."""
    names = wanted.names
    resources: dict[str, Any] = {
        "LogGroup": _resource(
            "AWS::Logs::LogGroup",
            LogGroupName=names.log_group,
            **({"RetentionInDays": wanted.retention} if wanted.retention else {}),
        ),
        "Function": _resource(
            "AWS::Lambda::Function",
            FunctionName=names.function,
            PackageType=wanted.package.kind,
            Architectures=[wanted.package.architecture],
            Code={"S3Bucket": names.bucket, "S3Key": names.key(wanted.package.function.digest)},
            Layers=[{"Ref": f"Layer{number}"} for number, _ in enumerate(wanted.package.layers)],
            **of_creation(wanted.configuration),
            **({"ReservedConcurrentExecutions": wanted.reserved} if wanted.reserved else {}),
        ),
        "Version": _resource("AWS::Lambda::Version", FunctionName={"Ref": "Function"}),
        "Alias": _resource(
            "AWS::Lambda::Alias",
            FunctionName={"Ref": "Function"},
            FunctionVersion={"Fn::GetAtt": ["Version", "Version"]},
            Name="live",
        ),
    }
    for number, part in enumerate(wanted.package.layers):
        resources[f"Layer{number}"] = _resource(
            "AWS::Lambda::LayerVersion",
            LayerName=names.layer(part.name),
            CompatibleRuntimes=[wanted.package.runtime],
            CompatibleArchitectures=[wanted.package.architecture],
            Content={"S3Bucket": names.bucket, "S3Key": names.key(part.digest)},
        )
    if wanted.role is not None:
        resources["Role"] = _role(wanted.role, names.role_path)
    if wanted.schedule_role is not None:
        resources["ScheduleRole"] = _role(wanted.schedule_role, names.role_path)
        resources["Group"] = _resource("AWS::Scheduler::ScheduleGroup", Name=names.schedule_group)
    for number, (name, schedule) in enumerate(wanted.schedules.items()):
        resources[f"Schedule{number}"] = _resource(
            "AWS::Scheduler::Schedule",
            Name=name,
            GroupName=names.schedule_group,
            **{key: value for key, value in schedule.items() if key != "ActionAfterCompletion"},
        )
    for number, (arn, mapping) in enumerate(wanted.queues.items()):
        resources[f"Queue{number}"] = _resource(
            "AWS::Lambda::EventSourceMapping",
            EventSourceArn=arn,
            FunctionName=_ALIAS,
            **{key: value for key, value in mapping.items() if value != {}},
        )
    if wanted.url is not None:
        cors = {"Cors": wanted.url["Cors"]} if wanted.url["Cors"] else {}
        resources["Url"] = _resource(
            "AWS::Lambda::Url",
            TargetFunctionArn={"Ref": "Function"},
            Qualifier="live",
            AuthType=wanted.url["AuthType"],
            InvokeMode=wanted.url["InvokeMode"],
            **cors,
        )
        if wanted.url["AuthType"] == OPEN:
            for name, permission in PERMISSIONS.items():
                resources[name] = _resource(
                    "AWS::Lambda::Permission", FunctionName=_ALIAS, **permission
                )
    if wanted.event_rules is not None:
        resources["Events"] = _resource(
            "AWS::Lambda::EventInvokeConfig",
            FunctionName={"Ref": "Function"},
            Qualifier="live",
            **wanted.event_rules,
        )
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def _role(role: Role, path: str) -> dict[str, Any]:
    return _resource(
        "AWS::IAM::Role",
        RoleName=role.name,
        Path=path,
        AssumeRolePolicyDocument=role.trust,
        Policies=[{"PolicyName": "bentofn", "PolicyDocument": role.policy()}],
        ManagedPolicyArns=list(role.managed),
    )
