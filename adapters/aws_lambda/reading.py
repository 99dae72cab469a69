"""Reads a function as it stands in AWS; nothing here changes anything."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from bentofn.adapters.aws_lambda import schedules, urls
from bentofn.adapters.aws_lambda.configuration import of_live
from bentofn.adapters.aws_lambda.live import Live, LiveRole, LiveVersion, LogGroup
from bentofn.adapters.aws_lambda.names import ALIAS, FUNCTION_TAG, Names
from bentofn.adapters.aws_lambda.queues import read_queues
from bentofn.adapters.aws_lambda.reading_uploads import read_images, read_layers, read_objects
from bentofn.adapters.aws_lambda.role import POLICY
from bentofn.adapters.aws_lambda.session import Session
from bentofn.runtime.errors import UserError

LATEST = "$LATEST"


def read_live(session: Session, names: Names, *, kind: str | None = None) -> Live:
    """Read all that there is of a function.

    Args:
        session: The account.
        names: What its parts are called.
        kind: ``Zip`` or ``Image``, whose uploads are looked for; None for both.

    Raises:
        UserError: AWS refused, was not reached, or the function is not one of bentofn's.
    """
    reads: list[Callable[[], dict[str, Any]]] = [
        lambda: _function(session, names),
        lambda: {"role": _role(session, names.role, names)},
        lambda: {"schedule_role": _role(session, names.schedule_role, names)},
        lambda: {"log_group": _log_group(session, names)},
        lambda: _schedules(session, names),
    ]
    if kind != "Image":
        reads += [lambda: read_layers(session, names), lambda: read_objects(session, names)]
    if kind != "Zip":
        reads.append(lambda: read_images(session, names))
    found: dict[str, Any] = {}
    fresh: frozenset[str] = frozenset()
    for each in session.together(reads):
        fresh |= each.pop("fresh", frozenset())
        found |= each
    return Live(**found, fresh=fresh)


def _function(session: Session, names: Names) -> dict[str, Any]:
    """The function, its alias and its versions."""
    function = session.find("lambda", "GetFunction", names.arn, FunctionName=names.function)
    if function is None:
        return {}
    tags = function.get("Tags") or {}
    _check_ours(names, tags)
    alias, listed, queues = session.together(
        [
            lambda: _alias(session, names),
            lambda: {"versions": read_versions(session, names)},
            lambda: read_queues(session, names),
        ]
    )
    live = alias.get("alias") or 0
    versions = session.together(
        [partial(_with_state, session, names, each, live) for each in listed["versions"]]
    )
    return {
        "tags": tags,
        "latest": _version(function["Configuration"]),
        "reserved": (function.get("Concurrency") or {}).get("ReservedConcurrentExecutions"),
        "versions": tuple(versions),
        **alias,
        **queues,
    }


def _with_state(session: Session, names: Names, version: LiveVersion, live: int) -> LiveVersion:
    """A version; of one that is newer than the live one its state is asked for."""
    return read_version(session, names, version.number) if version.number > live else version


def read_versions(session: Session, names: Names) -> tuple[LiveVersion, ...]:
    """The published versions of a function, the oldest first."""
    every = session.pages(
        "lambda",
        "ListVersionsByFunction",
        names.arn,
        "Versions",
        FunctionName=names.function,
    )
    published = [_version(each) for each in every if each["Version"] != LATEST]
    return tuple(sorted(published, key=lambda version: version.number))


def read_version(session: Session, names: Names, number: int) -> LiveVersion:
    """A version with its state, which the list of all does not have."""
    which = {"FunctionName": names.function, "Qualifier": str(number)}
    about = f"{names.arn}:{number}"
    return _version(session.ask("lambda", "GetFunctionConfiguration", about, **which))


def read_alias(session: Session, names: Names) -> tuple[int | None, dict[int, float]]:
    """The version that the alias names, and the shares of others; None where there is none."""
    alias = session.find(
        "lambda", "GetAlias", names.alias_arn, FunctionName=names.function, Name=ALIAS
    )
    if alias is None:
        return None, {}
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    return int(alias["FunctionVersion"]), {int(key): value for key, value in weights.items()}


def _check_ours(names: Names, tags: Mapping[str, str]) -> None:
    if tags.get(FUNCTION_TAG) != names.name:
        raise UserError(
            f"AWS has a function {names.function!r} in {names.region} that bentofn did not make "
            f"as {names.name!r}; give yours another name, or delete that one."
        )


def _version(raw: Mapping[str, Any]) -> LiveVersion:
    number = raw["Version"]
    kind = raw.get("PackageType") or "Zip"
    sha = raw.get("CodeSha256") or ""
    return LiveVersion(
        number=0 if number == LATEST else int(number),
        code=base64.b64decode(sha).hex() if kind == "Zip" and sha else sha,
        configuration=of_live(raw),
        description=raw.get("Description") or "",
        architectures=tuple(raw.get("Architectures") or ("x86_64",)),
        state=raw.get("State") or "Active",
        reason=raw.get("StateReason") or "",
        modified=raw.get("LastModified") or "",
        kind=kind,
    )


def _alias(session: Session, names: Names) -> dict[str, Any]:
    number, weights = read_alias(session, names)
    if number is None:
        return {}
    which = {"FunctionName": names.function, "Qualifier": ALIAS}
    url, policy, rules, kept = session.together(
        [
            partial(session.find, "lambda", operation, names.alias_arn, **which)
            for operation in (
                "GetFunctionUrlConfig",
                "GetPolicy",
                "GetFunctionEventInvokeConfig",
                "GetProvisionedConcurrencyConfig",
            )
        ]
    )
    return {
        "alias": number,
        "weights": weights,
        "url": None if url is None else urls.of_live(url),
        "address": "" if url is None else url["FunctionUrl"],
        "permissions": () if policy is None else urls.statement_names(policy["Policy"]),
        "event_rules": None if rules is None else _event_rules(rules),
        "provisioned": None if kept is None else kept["RequestedProvisionedConcurrentExecutions"],
    }


def _event_rules(raw: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        key: raw[key]
        for key in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds")
        if raw.get(key) is not None
    }
    destinations = {
        key: value for key, value in (raw.get("DestinationConfig") or {}).items() if value
    }
    return {**found, "DestinationConfig": destinations} if destinations else found


def _role(session: Session, name: str, names: Names) -> LiveRole | None:
    about = names.role_arn(name)
    role = session.find("iam", "GetRole", about, RoleName=name)
    if role is None:
        return None
    raw = role["Role"]
    if raw["Path"] != names.role_path:
        raise UserError(
            f"AWS has a role {name!r} that bentofn did not make for {names.function!r}; give the "
            "function another name, or delete that role."
        )
    which = {"RoleName": name}
    policy, managed = session.together(
        [
            lambda: session.find("iam", "GetRolePolicy", about, **which, PolicyName=POLICY),
            lambda: list(
                session.pages("iam", "ListAttachedRolePolicies", about, "AttachedPolicies", **which)
            ),
        ]
    )
    return LiveRole(
        trust=_document(raw["AssumeRolePolicyDocument"]),
        policy=None if policy is None else _document(policy["PolicyDocument"]),
        managed=tuple(sorted(each["PolicyArn"] for each in managed)),
        boundary=(raw.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn", ""),
    )


def _document(raw: Any) -> Mapping[str, Any]:
    """A policy, which botocore has read already where AWS sent it as it does."""
    found: Mapping[str, Any] = json.loads(unquote(raw)) if isinstance(raw, str) else raw
    return found


def _log_group(session: Session, names: Names) -> LogGroup | None:
    groups = session.pages(
        "logs",
        "DescribeLogGroups",
        names.log_group_arn,
        "logGroups",
        logGroupNamePrefix=names.log_group,
    )
    for each in groups:
        if each["logGroupName"] == names.log_group:
            return LogGroup(each.get("retentionInDays"))
    return None


def read_log_tags(session: Session, names: Names) -> dict[str, str]:
    """The tags of a function's log group; none where it has no log group."""
    about = names.log_group_arn
    found = session.find("logs", "ListTagsForResource", about, resourceArn=about)
    return dict((found or {}).get("tags") or {})


def _schedules(session: Session, names: Names) -> dict[str, Any]:
    group = names.schedule_group
    found = session.find("scheduler", "GetScheduleGroup", names.schedule_group_arn, Name=group)
    if found is None or found.get("State") == "DELETING":
        return {}
    listed = session.pages("scheduler", "ListSchedules", group, "Schedules", GroupName=group)
    every = session.together(
        [partial(_schedule, session, names, str(each["Name"])) for each in listed]
    )
    there = {raw["Name"]: schedules.of_live(raw) for raw in every if raw is not None}
    return {"group": True, "schedules": there}


def _schedule(session: Session, names: Names, name: str) -> Any:
    where = {"GroupName": names.schedule_group, "Name": name}
    return session.find("scheduler", "GetSchedule", names.schedule_arn(name), **where)
