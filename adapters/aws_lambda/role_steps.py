"""The steps for what a function needs around it: its roles and its log group."""

from __future__ import annotations

from collections.abc import Iterator

from bentofn.adapters.aws_lambda.desired import Desired, as_json
from bentofn.adapters.aws_lambda.live import Live, LiveRole
from bentofn.adapters.aws_lambda.role import POLICY, Role
from bentofn.adapters.aws_lambda.step import Step, tag_list
from bentofn.adapters.plan import Change


def role_steps(wanted: Desired, live: Live) -> Iterator[Step]:
    """The roles, which are made before all else."""
    for role, there in (
        (wanted.role, live.role),
        (wanted.schedule_role, live.schedule_role),
    ):
        if role is not None:
            yield from _role(wanted, role, there)


def _role(wanted: Desired, role: Role, there: LiveRole | None) -> Iterator[Step]:
    about = wanted.names.role_arn(role.name)
    which = {"RoleName": role.name}
    if there is None:
        bound = {"PermissionsBoundary": role.boundary} if role.boundary else {}
        yield Step(
            "iam",
            "CreateRole",
            about,
            {
                **which,
                **bound,
                "Path": wanted.names.role_path,
                "AssumeRolePolicyDocument": as_json(role.trust),
                "Tags": tag_list(wanted.tags),
            },
            f"Creating the role {role.name}",
            (Change(f"role {role.name}", None, "created"),),
        )
        there = LiveRole(role.trust, None, (), role.boundary)
    changed = (Change(f"role {role.name}", "created", "changed"),)
    if there.trust != role.trust:
        document = {"PolicyDocument": as_json(role.trust)}
        yield Step("iam", "UpdateAssumeRolePolicy", about, {**which, **document}, "", changed)
    if there.boundary != role.boundary:
        if role.boundary:
            bound = {"PermissionsBoundary": role.boundary}
            yield Step("iam", "PutRolePermissionsBoundary", about, {**which, **bound}, "", changed)
        else:
            yield Step("iam", "DeleteRolePermissionsBoundary", about, which, "", changed)
    # What only the live version needs it may do until the new one takes its place.
    had = () if there.policy is None else tuple(there.policy["Statement"])
    policy = role.policy(had)
    if there.policy is None or any(each not in had for each in policy["Statement"]):
        named = {"PolicyName": POLICY, "PolicyDocument": as_json(policy)}
        yield Step("iam", "PutRolePolicy", about, {**which, **named}, "", changed if had else ())
    for arn in role.managed:
        if arn not in there.managed:
            yield Step("iam", "AttachRolePolicy", about, {**which, "PolicyArn": arn}, "", changed)


def log_group_steps(wanted: Desired, live: Live) -> Iterator[Step]:
    """The log group and how long it keeps lines."""
    names = wanted.names
    about, which = names.log_group_arn, {"logGroupName": names.log_group}
    before = live.log_group.retention if live.log_group is not None else None
    if live.log_group is None:
        yield Step(
            "logs",
            "CreateLogGroup",
            about,
            {**which, "tags": dict(wanted.tags)},
            "",
            (Change("log group", None, names.log_group),),
        )
    if before != wanted.retention:
        change = (Change("logRetentionInDays", before, wanted.retention),)
        if wanted.retention is None:
            yield Step("logs", "DeleteRetentionPolicy", about, which, "", change)
        else:
            days = {"retentionInDays": wanted.retention}
            yield Step("logs", "PutRetentionPolicy", about, {**which, **days}, "", change)
