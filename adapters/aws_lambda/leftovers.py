"""What is not needed any more once a function's new version takes the requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bentofn.adapters.aws_lambda.configuration import SNAPPED
from bentofn.adapters.aws_lambda.desired import Desired, as_json
from bentofn.adapters.aws_lambda.live import Live, LiveRole, LiveVersion
from bentofn.adapters.aws_lambda.names import ALIAS, Names
from bentofn.adapters.aws_lambda.queue_steps import without_queue
from bentofn.adapters.aws_lambda.role import POLICY, Role
from bentofn.adapters.aws_lambda.step import Step
from bentofn.adapters.aws_lambda.urls import OPEN, PERMISSIONS
from bentofn.adapters.plan import Change
from bentofn.runtime.aws_lambda.fetched import SOURCE as FETCHED

KEPT = 10
"""Versions that a rollback can go to, the live one among them."""

KEPT_SNAPPED = 3
"""The same with SnapStart, whose snapshots are paid for version by version."""


def leftovers(wanted: Desired, live: Live) -> tuple[Step, ...]:
    """What is taken away.

    Args:
        wanted: The function as it is to be.
        live: As it is, the new version live.
    """
    return (
        *_alias(wanted, live),
        *_schedules(wanted, live),
        *_queues(wanted, live),
        *_roles(wanted, live),
        *_versions(wanted, live),
    )


def _alias(wanted: Desired, live: Live) -> Iterator[Step]:
    names = wanted.names
    which = {"FunctionName": names.function, "Qualifier": ALIAS}
    if wanted.url is None and live.url is not None:
        change = (Change("url", dict(live.url), None),)
        yield Step("lambda", "DeleteFunctionUrlConfig", names.alias_arn, which, "", change)
    if wanted.url is None or wanted.url["AuthType"] != OPEN:
        for statement in PERMISSIONS:
            if statement in live.permissions:
                named = {**which, "StatementId": statement}
                change = (Change(f"permission {statement}", "added", None),)
                yield Step("lambda", "RemovePermission", names.alias_arn, named, "", change)
    for operation, field, after, before in (
        ("DeleteFunctionEventInvokeConfig", "destinations", wanted.event_rules, live.event_rules),
        (
            "DeleteProvisionedConcurrencyConfig",
            "provisionedConcurrency",
            wanted.provisioned,
            live.provisioned,
        ),
    ):
        if after is None and before is not None:
            change = (Change(field, before, None),)
            yield Step("lambda", operation, names.alias_arn, which, "", change)
    if wanted.reserved is None and live.reserved is not None:
        change = (Change("reservedConcurrency", live.reserved, None),)
        named = {"FunctionName": names.function}
        yield Step("lambda", "DeleteFunctionConcurrency", names.arn, named, "", change)


def _schedules(wanted: Desired, live: Live) -> Iterator[Step]:
    group = wanted.names.schedule_group
    for name, schedule in live.schedules.items():
        if name not in wanted.schedules:
            change = (Change(f"schedule {name}", schedule["ScheduleExpression"], None),)
            named = {"Name": name, "GroupName": group}
            about = wanted.names.schedule_arn(name)
            yield Step("scheduler", "DeleteSchedule", about, named, "", change)


def _queues(wanted: Desired, live: Live) -> Iterator[Step]:
    for arn, there in live.queues.items():
        if arn not in wanted.queues:
            yield without_queue(wanted.names, arn, there.mapping)


def _roles(wanted: Desired, live: Live) -> Iterator[Step]:
    for role, there in (
        (wanted.role, live.role),
        (wanted.schedule_role, live.schedule_role),
    ):
        if role is not None and there is not None:
            yield from _role(wanted, role, there)
    if wanted.schedule_role is None and live.schedule_role is not None:
        yield from without_role(wanted.names, wanted.names.schedule_role, live.schedule_role)
    if wanted.role is None and live.role is not None:
        yield from without_role(wanted.names, wanted.names.role, live.role)


def _role(wanted: Desired, role: Role, there: LiveRole) -> Iterator[Step]:
    about = wanted.names.role_arn(role.name)
    which = {"RoleName": role.name}
    change = (Change(f"role {role.name}", "created", "changed"),)
    if there.policy is not None and _sorted(there.policy) != _sorted(role.policy()):
        named = {"PolicyName": POLICY, "PolicyDocument": as_json(role.policy())}
        yield Step("iam", "PutRolePolicy", about, {**which, **named}, "", change)
    for arn in there.managed:
        if arn not in role.managed:
            yield Step("iam", "DetachRolePolicy", about, {**which, "PolicyArn": arn}, "", change)


def _sorted(policy: Any) -> list[str]:
    return sorted(as_json(each) for each in policy["Statement"])


def without_role(names: Names, role: str, there: LiveRole) -> Iterator[Step]:
    """What removes a role."""
    about, which = names.role_arn(role), {"RoleName": role}
    for arn in there.managed:
        yield Step("iam", "DetachRolePolicy", about, {**which, "PolicyArn": arn})
    if there.policy is not None:
        yield Step("iam", "DeleteRolePolicy", about, {**which, "PolicyName": POLICY})
    yield Step("iam", "DeleteRole", about, which)


def _versions(wanted: Desired, live: Live) -> Iterator[Step]:
    names = wanted.names
    kept = _kept(live)
    for version in live.versions:
        if version not in kept:
            named = {"FunctionName": names.function, "Qualifier": str(version.number)}
            yield Step("lambda", "DeleteFunction", f"{names.arn}:{version.number}", named)
    users = [*kept, *([live.latest] if live.latest is not None else [])]
    used = {arn for version in users for arn in version.configuration.get("Layers", ())}
    for layer, versions in live.layers.items():
        for arn in versions.values():
            if arn not in used and arn not in live.fresh:
                yield without_layer(layer, arn)
    needed = tuple(filter(None, (_fetched_from(names, version) for version in users)))
    # Lambda has copies of this function's own zips; another's may not have been used yet.
    own = {names.key(part.digest) for part in wanted.package.parts}
    done = tuple(key for key in live.objects if not key.startswith(needed))
    yield from without_objects(
        names, tuple(key for key in done if key in own or key not in live.fresh)
    )
    kept_images = {f"sha256:{user.code}" for user in users} | live.fresh
    yield from without_images(
        names, [each for each in live.images or () if each not in kept_images]
    )


def _fetched_from(names: Names, version: LiveVersion) -> str:
    """Prefix of the objects that a version fetches; empty where it fetches none."""
    source = str(version.configuration["Environment"]["Variables"].get(FETCHED, ""))
    return source.removeprefix(f"s3://{names.bucket}/")


def _kept(live: Live) -> list[LiveVersion]:
    """The newest versions, and those that get requests."""
    now = live.now
    snapped = now is not None and now.configuration["SnapStart"]["ApplyOn"] == SNAPPED
    usable = [each for each in live.versions if each.state != "Failed"]
    newest = usable[-(KEPT_SNAPPED if snapped else KEPT) :]
    called = {live.alias, *live.weights}
    return [each for each in live.versions if each in newest or each.number in called]


def without_layer(layer: str, arn: str) -> Step:
    """What removes a version of a layer."""
    version = int(arn.rpartition(":")[2])
    named = {"LayerName": layer, "VersionNumber": version}
    return Step("lambda", "DeleteLayerVersion", arn, named)


def without_objects(names: Names, keys: tuple[str, ...]) -> Iterator[Step]:
    """What removes objects: Lambda has copies of what was published."""
    for key in keys:
        where = {"Bucket": names.bucket, "Key": key}
        yield Step("s3", "DeleteObject", f"{names.bucket_arn}/{key}", where)


def without_images(names: Names, digests: list[str]) -> Iterator[Step]:
    """What removes images."""
    if digests:
        ids = [{"imageDigest": digest} for digest in digests]
        yield Step(
            "ecr",
            "BatchDeleteImage",
            names.repository_arn,
            {"repositoryName": names.repository, "imageIds": ids[:100]},
        )
