"""What is done to make a function in AWS agree with what it is to be: steps, in order.

Nothing of it takes requests before the last step, which has the alias name the new version; on a
first deployment that is the function's URL. What is not needed any more goes after that
(:mod:`bentofn.adapters.aws_lambda.leftovers`).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from bentofn.adapters.aws_lambda import configuration
from bentofn.adapters.aws_lambda.desired import Desired, as_json
from bentofn.adapters.aws_lambda.live import Live, LiveRole, LiveVersion
from bentofn.adapters.aws_lambda.names import ALIAS, FUNCTION_TAG
from bentofn.adapters.aws_lambda.role import POLICY, Role
from bentofn.adapters.aws_lambda.urls import OPEN, PERMISSIONS
from bentofn.adapters.plan import Change
from bentofn.packager.lambda_.parts import Part

Until = Literal["", "function", "version", "provisioned"]

PUSH = "push"
"""In a call's place: the image is sent to its repository."""

VERSION = "Version"
"""Under which name the number of the version that was published is remembered."""


@dataclass(frozen=True)
class Made:
    """Stands in arguments for something that an earlier step's answer says.

    Args:
        key: Under which it is remembered.
    """

    key: str


@dataclass(frozen=True)
class Step:
    """A call, or something to wait for.

    Args:
        service: boto3's name of the service.
        operation: The call, as AWS writes it; empty where there is only something to wait for.
        about: ARN of what it is about.
        arguments: The call's, with :class:`Made` in them.
        says: What it does, for people; empty where that is of no interest.
        changes: What of the function differs after it; none for what only prepares or clears up.
        keeps: What of the answer is remembered: the key, and the member.
        body: The file that is sent.
        until: What is waited for then.
    """

    service: str
    operation: str
    about: str
    arguments: Mapping[str, Any] = field(default_factory=dict, repr=False)
    says: str = ""
    changes: tuple[Change, ...] = ()
    keeps: tuple[str, str] | None = None
    body: Part | None = None
    until: Until = ""


def steps(wanted: Desired, live: Live) -> tuple[Step, ...]:
    """What is done, up to and with the step from which the new version takes the requests.

    Args:
        wanted: The function as it is to be.
        live: As it is.
    """
    return (
        *_roles(wanted, live),
        *_log_group(wanted, live),
        *_version(wanted, live),
        *_around(wanted, live),
    )


def usable(wanted: Desired, live: Live) -> LiveVersion | None:
    """The latest published version that is as the function is to be."""
    layers = layer_arns(wanted, live)
    if any(isinstance(each, Made) for each in layers):
        return None
    for version in reversed(live.versions):
        if version.state != "Failed" and _agrees(wanted, version, layers):
            return version
    return None


def layer_arns(wanted: Desired, live: Live) -> list[str | Made]:
    """The function's layers in order, those that are still to be published as :class:`Made`."""
    own = [
        live.layers.get(wanted.names.layer(part.name), {}).get(part.digest)
        or Made(f"layer {part.name}")
        for part in wanted.package.layers
    ]
    return [*own, *wanted.added_layers]


def full_configuration(wanted: Desired, live: Live) -> dict[str, Any]:
    """The configuration with layers."""
    if wanted.package.kind == "Image":
        return dict(wanted.configuration)
    return {**wanted.configuration, "Layers": layer_arns(wanted, live)}


def _agrees(wanted: Desired, version: LiveVersion, layers: list[str | Made]) -> bool:
    full = dict(wanted.configuration)
    if wanted.package.kind == "Zip":
        full["Layers"] = layers
    return (
        version.code == wanted.code_digest
        and version.architectures == (wanted.package.architecture,)
        and not configuration.differing(full, version.configuration)
    )


def _roles(wanted: Desired, live: Live) -> Iterator[Step]:
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
                "Tags": _tag_list(wanted.tags),
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


def _log_group(wanted: Desired, live: Live) -> Iterator[Step]:
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


def _version(wanted: Desired, live: Live) -> Iterator[Step]:
    """The version that is to take the requests: one that is there, or a new one."""
    there = usable(wanted, live)
    names = wanted.names
    which = {"FunctionName": names.function}
    if there is not None:
        if there.state == "Pending":
            yield Step("lambda", "", names.arn, {VERSION: str(there.number)}, until="version")
        yield from _description(wanted, live)
        return
    yield from _uploads(wanted, live)
    yield from _code(wanted, live)
    checked = (
        {"CodeSha256": base64.b64encode(bytes.fromhex(wanted.code_digest)).decode()}
        if wanted.package.kind == "Zip"
        else {}
    )
    yield Step(
        "lambda",
        "PublishVersion",
        names.arn,
        {**which, **checked, "Description": wanted.version_description},
        "Publishing a version",
        keeps=(VERSION, "Version"),
        until="version",
    )


def _uploads(wanted: Desired, live: Live) -> Iterator[Step]:
    names = wanted.names
    if wanted.package.kind == "Image":
        if live.images is None:
            yield Step(
                "ecr",
                "CreateRepository",
                names.repository_arn,
                {"repositoryName": names.repository, "tags": _tag_list(wanted.tags)},
                "",
                (Change("repository", None, names.repository),),
            )
        if f"sha256:{wanted.code_digest}" not in (live.images or ()):
            yield Step("ecr", PUSH, names.repository_arn, {}, "Pushing the image")
        return
    missing = [
        part
        for part in wanted.package.layers
        if part.digest not in live.layers.get(names.layer(part.name), {})
    ]
    own = [] if _has_code(wanted, live) else [wanted.package.function]
    fetched = [
        (part, key)
        for part in wanted.package.fetched
        if (key := wanted.fetched_from + part.digest.removeprefix("sha256:")) not in live.objects
    ]
    if (missing or own or fetched) and not live.bucket and not names.given_bucket:
        yield Step("s3", "CreateBucket", names.bucket_arn, _new_bucket(names.bucket, names.region))
    for part, key in fetched:
        yield _object(wanted, part, key)
    for part in (*missing, *own):
        key = names.key(part.digest)
        if key not in live.objects:
            yield _object(wanted, part, key)
        if part in missing:
            yield _layer(wanted, part)


def _new_bucket(bucket: str, region: str) -> dict[str, Any]:
    if region == "us-east-1":
        return {"Bucket": bucket}
    return {"Bucket": bucket, "CreateBucketConfiguration": {"LocationConstraint": region}}


def _object(wanted: Desired, part: Part, key: str) -> Step:
    digest = bytes.fromhex(part.digest.removeprefix("sha256:"))
    return Step(
        "s3",
        "PutObject",
        f"{wanted.names.bucket_arn}/{key}",
        {
            "Bucket": wanted.names.bucket,
            "Key": key,
            "ChecksumSHA256": base64.b64encode(digest).decode(),
        },
        f"Uploading {part.name} ({part.size / 1e6:.1f} MB)",
        body=part,
    )


def _layer(wanted: Desired, part: Part) -> Step:
    names = wanted.names
    return Step(
        "lambda",
        "PublishLayerVersion",
        f"{names.arn.replace(':function:', ':layer:')}-{part.name}",
        {
            "LayerName": names.layer(part.name),
            "Description": part.digest,
            "Content": {"S3Bucket": names.bucket, "S3Key": names.key(part.digest)},
            "CompatibleRuntimes": [wanted.package.runtime],
            "CompatibleArchitectures": [wanted.package.architecture],
        },
        f"Publishing the layer {part.name}",
        keeps=(f"layer {part.name}", "LayerVersionArn"),
    )


def _has_code(wanted: Desired, live: Live) -> bool:
    latest = live.latest
    return (
        latest is not None
        and latest.code == wanted.code_digest
        and latest.architectures == (wanted.package.architecture,)
    )


def _code(wanted: Desired, live: Live) -> Iterator[Step]:
    """``$LATEST``, which nobody calls."""
    names, package = wanted.names, wanted.package
    about, which = names.arn, {"FunctionName": names.function}
    full = full_configuration(wanted, live)
    code: dict[str, Any] = {"S3Bucket": names.bucket}
    if package.kind == "Image":
        code = {"ImageUri": Made("image")}
    else:
        code["S3Key"] = names.key(package.function.digest)
    if live.latest is None:
        yield Step(
            "lambda",
            "CreateFunction",
            about,
            {
                **which,
                **configuration.of_creation({**full, "Description": wanted.description}),
                "PackageType": package.kind,
                "Architectures": [package.architecture],
                "Code": code,
                "Tags": dict(wanted.tags),
            },
            f"Creating the function {names.function}",
            (Change("function", None, names.function), Change("bento", None, wanted.bento)),
            until="function",
        )
        return
    if not _has_code(wanted, live):
        more = {"Architectures": [package.architecture], **code}
        says = "Updating the function's code"
        yield Step("lambda", "UpdateFunctionCode", about, {**which, **more}, says, until="function")
    differing = configuration.differing(full, live.latest.configuration)
    if live.latest.description != wanted.description:
        differing["Description"] = wanted.description
    if differing:
        says = "Updating the function's configuration"
        yield Step(
            "lambda",
            "UpdateFunctionConfiguration",
            about,
            {**which, **differing},
            says,
            until="function",
        )


def _description(wanted: Desired, live: Live) -> Iterator[Step]:
    """The description is the function's and no version's: a version says which bento it is."""
    if live.latest is None or live.latest.description == wanted.description:
        return
    names = wanted.names
    yield Step(
        "lambda",
        "UpdateFunctionConfiguration",
        names.arn,
        {"FunctionName": names.function, "Description": wanted.description},
        "",
        (Change("description", live.latest.description or None, wanted.description or None),),
        until="function",
    )


def _around(wanted: Desired, live: Live) -> Iterator[Step]:
    """The alias and what belongs to it, the step from which the version takes requests last."""
    names = wanted.names
    there = usable(wanted, live)
    number: str | Made = Made(VERSION) if there is None else str(there.number)
    alias = {"FunctionName": names.function, "Name": ALIAS, "FunctionVersion": number}
    which = {"FunctionName": names.function, "Qualifier": ALIAS}
    if live.alias is None:
        change = (Change(f"alias {ALIAS}", None, "created"),)
        yield Step("lambda", "CreateAlias", names.alias_arn, alias, "", change)
    yield from _tags(wanted, live)
    if wanted.reserved is not None and wanted.reserved != live.reserved:
        yield Step(
            "lambda",
            "PutFunctionConcurrency",
            names.arn,
            {
                "FunctionName": names.function,
                "ReservedConcurrentExecutions": wanted.reserved,
            },
            "",
            (Change("reservedConcurrency", live.reserved, wanted.reserved),),
        )
    if wanted.event_rules is not None and wanted.event_rules != live.event_rules:
        before = None if live.event_rules is None else dict(live.event_rules)
        yield Step(
            "lambda",
            "PutFunctionEventInvokeConfig",
            names.alias_arn,
            {**which, **wanted.event_rules},
            "",
            (Change("destinations", before, dict(wanted.event_rules)),),
        )
    yield from _schedules(wanted, live)
    if wanted.provisioned is not None and wanted.provisioned != live.provisioned:
        yield Step(
            "lambda",
            "PutProvisionedConcurrencyConfig",
            names.alias_arn,
            {**which, "ProvisionedConcurrentExecutions": wanted.provisioned},
            "Having environments initialised",
            (Change("provisionedConcurrency", live.provisioned, wanted.provisioned),),
            until="provisioned",
        )
    yield from _url(wanted, live)
    if live.alias is not None and (live.alias != (there and there.number) or live.weights):
        yield Step(
            "lambda",
            "UpdateAlias",
            names.alias_arn,
            {**alias, "RoutingConfig": {"AdditionalVersionWeights": {}}},
            "Giving the requests to the new version",
            tuple(_differences(wanted, live)),
        )


def _tags(wanted: Desired, live: Live) -> Iterator[Step]:
    if live.latest is None:
        return
    about = wanted.names.arn
    missing = {key: v for key, v in wanted.tags.items() if live.tags.get(key) != v}
    own = (key for key in live.tags if not key.startswith("aws:") and key != FUNCTION_TAG)
    gone = sorted(key for key in own if key not in wanted.tags)
    change = (Change("tags", dict(live.tags), dict(wanted.tags)),)
    if missing:
        yield Step("lambda", "TagResource", about, {"Resource": about, "Tags": missing}, "", change)
    if gone:
        named = {"Resource": about, "TagKeys": gone}
        yield Step("lambda", "UntagResource", about, named, "", change)


def _schedules(wanted: Desired, live: Live) -> Iterator[Step]:
    group = wanted.names.schedule_group
    if wanted.schedules and not live.group:
        named = {"Name": group, "Tags": _tag_list(wanted.tags)}
        yield Step("scheduler", "CreateScheduleGroup", group, named)
    for name, schedule in wanted.schedules.items():
        there = live.schedules.get(name)
        if there == schedule:
            continue
        operation = "CreateSchedule" if there is None else "UpdateSchedule"
        before = None if there is None else there["ScheduleExpression"]
        after = schedule["ScheduleExpression"]
        yield Step(
            "scheduler",
            operation,
            f"{group}/{name}",
            {"Name": name, "GroupName": group, **schedule},
            f"Scheduling {name}",
            (Change(f"schedule {name}", before, after if before != after else "changed"),),
        )


def _url(wanted: Desired, live: Live) -> Iterator[Step]:
    names = wanted.names
    which = {"FunctionName": names.function, "Qualifier": ALIAS}
    if wanted.url is None:
        return
    if wanted.url["AuthType"] == OPEN:
        for statement, permission in PERMISSIONS.items():
            if statement not in live.permissions:
                yield Step(
                    "lambda",
                    "AddPermission",
                    names.alias_arn,
                    {**which, "StatementId": statement, **permission},
                    "",
                    (Change(f"permission {statement}", None, "added"),),
                )
    if live.url != wanted.url:
        operation = "CreateFunctionUrlConfig" if live.url is None else "UpdateFunctionUrlConfig"
        before = None if live.url is None else dict(live.url)
        yield Step(
            "lambda",
            operation,
            names.alias_arn,
            {**which, **wanted.url},
            "",
            (Change("url", before, dict(wanted.url)),),
            keeps=("url", "FunctionUrl"),
        )


def _differences(wanted: Desired, live: Live) -> Iterator[Change]:
    """What a new version differs in from the live one."""
    now = live.now
    if now is None:
        yield Change(f"alias {ALIAS}", live.alias, "new version")
        return
    tag, digest = now.bento
    if digest != wanted.digest:
        if tag != wanted.bento:
            yield Change("bento", tag, wanted.bento)
        else:
            yield Change("bento", digest[:19], wanted.digest[:19])
    elif now.code != wanted.code_digest:
        yield Change("code", now.code[:12], wanted.code_digest[:12])
    yield from configuration.changes(full_configuration(wanted, live), now.configuration)
    full = full_configuration(wanted, live)
    if "Layers" in full and full["Layers"] != now.configuration.get("Layers"):
        yield Change("layers", "published", "changed")
    if live.weights:
        yield Change("shares of other versions", dict(live.weights), None)


def _tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
