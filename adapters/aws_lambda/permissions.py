"""What whoever deploys may not do, asked of IAM before anything is done.

Sources: https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html,
https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html and
https://docs.aws.amazon.com/lambda/latest/dg/images-create.html (Amazon ECR permissions)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from bentofn.adapters.aws_lambda.desired import Desired
from bentofn.adapters.aws_lambda.errors import action_of, statement
from bentofn.adapters.aws_lambda.session import Session
from bentofn.adapters.aws_lambda.step import PUSH, Step
from bentofn.adapters.plan import Problem
from bentofn.runtime.errors import UserError

_ASSUMED = re.compile(r"arn:([a-z-]+):sts::(\d+):assumed-role/([^/]+)/.+\Z")

_MORE: Mapping[str, tuple[str, ...]] = {
    "CreateRole": ("iam:TagRole",),
    "CreateLogGroup": ("logs:TagResource",),
    "CreateFunction": ("lambda:TagResource",),
    "CreateScheduleGroup": ("scheduler:TagResource",),
    "CreateRepository": ("ecr:TagResource",),
    "PutObject": ("s3:GetObject",),
    PUSH: (
        "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart",
        "ecr:CompleteLayerUpload", "ecr:PutImage", "ecr:BatchGetImage",
        "ecr:GetRepositoryPolicy", "ecr:SetRepositoryPolicy",
    ),
}  # fmt: skip
"""Call to what it takes besides the permission of its name: tags, and what Lambda does for whoever
calls it, such as reading a zip."""


def missing(session: Session, wanted: Desired, steps: Iterable[Step]) -> Iterator[Problem]:
    """A violation for each resource of which something is not allowed.

    Nothing is said where IAM may not be asked: the call that is refused then says it.

    Args:
        session: The account.
        wanted: The function as it is to be.
        steps: What is to be done.
    """
    principal = _principal(session.caller)
    if not principal:
        return
    needed = [(resource, sorted(actions)) for resource, actions in _needed(wanted, steps).items()]
    try:
        # The first alone: where IAM may not be asked, it is asked once.
        found = [_denied(session, principal, *each) for each in needed[:1]]
        found += session.together([partial(_denied, session, principal, *e) for e in needed[1:]])
    except UserError:
        return
    for (resource, _), denied in zip(needed, found, strict=True):
        if denied:
            yield Problem(
                "violation",
                "",
                f"{session.caller} may not do {', '.join(denied)}; add this statement to its "
                f"policy: {statement(denied, [resource])}.",
            )


def _denied(session: Session, principal: str, resource: str, actions: list[str]) -> list[str]:
    results = session.pages(
        "iam",
        "SimulatePrincipalPolicy",
        principal,
        "EvaluationResults",
        PolicySourceArn=principal,
        ActionNames=actions,
        ResourceArns=[resource],
    )
    return [
        each["EvalActionName"]
        for each in results
        if each["EvalDecision"] != "allowed" and not _depends(each)
    ]


def _depends(result: Mapping[str, Any]) -> bool:
    """Whether policies have conditions, such as ``iam:PassedToService``, of which the simulation
    is told nothing: what it says then is not what the call itself is answered."""
    of_resources = result.get("ResourceSpecificResults") or ()
    return any(each.get("MissingContextValues") for each in (result, *of_resources))


def _needed(wanted: Desired, steps: Iterable[Step]) -> Mapping[str, set[str]]:
    """Resource to what is done to it."""
    found: dict[str, set[str]] = {}
    names = wanted.names
    for step in steps:
        for resource, action in _waited(wanted, step):
            found.setdefault(resource, set()).add(action)
        if not step.operation:
            continue
        about = _resource(step)
        actions = found.setdefault(about, set())
        actions.update(_MORE.get(step.operation, ()))
        if step.operation != PUSH:
            actions.add(action_of(step.service, step.operation))
        if step.operation in ("CreateFunction", "UpdateFunctionConfiguration"):
            found.setdefault(str(wanted.configuration["Role"]), set()).add("iam:PassRole")
            for resource, action in _configured(wanted):
                found.setdefault(resource, set()).add(action)
        if step.operation == PUSH:
            found.setdefault("*", set()).add("ecr:GetAuthorizationToken")
            actions.add("ecr:DescribeRepositories")
        if step.operation == "CreateEventSourceMapping":
            found.setdefault(names.mapping_arn("*"), set()).add("lambda:TagResource")
        if step.operation in ("CreateSchedule", "UpdateSchedule"):
            role = names.role_arn(names.schedule_role)
            found.setdefault(role, set()).add("iam:PassRole")
    return found


def _resource(step: Step) -> str:
    """What a policy's ``Resource`` names; of a log group that is what is in it too.

    Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html
    """
    if not step.about.startswith("arn:"):
        return "*"
    return f"{step.about}:*" if step.service == "logs" else step.about


def _waited(wanted: Desired, step: Step) -> Iterator[tuple[str, str]]:
    """What it takes to see when a step is done."""
    if step.until in ("function", "version"):
        yield wanted.names.arn, "lambda:GetFunctionConfiguration"
    elif step.until == "provisioned":
        yield wanted.names.alias_arn, "lambda:GetProvisionedConcurrencyConfig"


def _configured(wanted: Desired) -> Iterator[tuple[str, str]]:
    """What Lambda looks at for whoever configures a function.

    Not what a key of KMS takes: the key's own policy says that as well, which IAM's simulation is
    not told. Sources: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html and
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem.html
    """
    names = wanted.names
    layers = f"{names.arn.partition(':function:')[0]}:layer:"
    for part in wanted.package.layers:
        yield f"{layers}{names.layer(part.name)}:*", "lambda:GetLayerVersion"
    for arn in wanted.added_layers:
        yield arn, "lambda:GetLayerVersion"
    if wanted.configuration["VpcConfig"]["SubnetIds"]:
        for what in ("SecurityGroups", "Subnets", "Vpcs"):
            yield "*", f"ec2:Describe{what}"
    if wanted.configuration["FileSystemConfigs"]:
        yield "*", "elasticfilesystem:DescribeMountTargets"


def _principal(caller: str) -> str:
    """ARN of the user or role whose policies count; empty where there are none."""
    assumed = _ASSUMED.match(caller)
    if assumed is not None:
        partition, account, role = assumed.groups()
        return f"arn:{partition}:iam::{account}:role/{role}"
    return caller if ":user/" in caller else ""
