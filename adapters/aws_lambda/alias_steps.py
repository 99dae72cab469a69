"""The steps for the alias and what belongs to it; from the last one the version takes requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bentofn.adapters.aws_lambda import configuration
from bentofn.adapters.aws_lambda.desired import Desired
from bentofn.adapters.aws_lambda.live import Live
from bentofn.adapters.aws_lambda.matching import full_configuration, usable
from bentofn.adapters.aws_lambda.names import ALIAS, FUNCTION_TAG
from bentofn.adapters.aws_lambda.queue_steps import queue_steps
from bentofn.adapters.aws_lambda.step import VERSION, Made, Step, tag_list
from bentofn.adapters.aws_lambda.urls import OPEN, PERMISSIONS, is_same
from bentofn.adapters.plan import Change


def alias_steps(wanted: Desired, live: Live) -> Iterator[Step]:
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
    if wanted.event_rules is not None and _full(wanted.event_rules) != _full(live.event_rules):
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
    yield from queue_steps(wanted, live)
    yield from url_steps(wanted, live)
    if live.alias is not None and (live.alias != (there and there.number) or live.weights):
        yield Step(
            "lambda",
            "UpdateAlias",
            names.alias_arn,
            {**alias, "RoutingConfig": {"AdditionalVersionWeights": {}}},
            "Giving the requests to the new version",
            tuple(_differences(wanted, live)),
        )


def _full(rules: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Rules of asynchronous invocations with Lambda's defaults, which it may tell or not."""
    if rules is None:
        return None
    return {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 21_600, **rules}


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
        named = {"Name": group, "Tags": tag_list(wanted.tags)}
        yield Step("scheduler", "CreateScheduleGroup", wanted.names.schedule_group_arn, named)
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
            wanted.names.schedule_arn(name),
            {"Name": name, "GroupName": group, **schedule},
            f"Scheduling {name}",
            (Change(f"schedule {name}", before, after if before != after else "changed"),),
        )


def url_steps(wanted: Desired, live: Live) -> Iterator[Step]:
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
    if not is_same(wanted.url, live.url):
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
