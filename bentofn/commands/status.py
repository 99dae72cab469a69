"""`bentofn status`: how the functions on a target stand, and when they are called by the clock."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import datetime, timezone

import click

from bentofn.adapters.protocol import FunctionStatus
from bentofn.adapters.schedule import ScheduleStatus
from bentofn.commands.functions import adapter_of, target_option
from bentofn.commands.output import json_option, print_json, print_table


@click.command()
@click.argument("name", required=False)
@target_option
@json_option
def status(name: str | None, target: str, as_json: bool) -> None:
    """Show one function, or all of them."""
    functions = adapter_of(target).status(name)
    if as_json:
        print_json([dataclasses.asdict(function) for function in functions])
        return
    if not functions:
        where = "" if target == "local" else f" --target {target}"
        click.echo(f"No function is deployed; bentofn deploy SOURCE{where} deploys one.")
        return
    print_table(
        ("FUNCTION", "STATE", "INSTANCES", "SNAPSHOT", "REQUESTS", "STARTS", "BATCH", "URL"),
        [_row(function) for function in functions],
    )
    for function in functions:
        if function.profile != "plain" and function.cost is not None:
            cost = f"cost so far {function.cost:.3g} {function.currency}"
            click.echo(f"{function.name}: as {function.profile}, {cost}")
        versions = Counter(each.version for each in function.instances or () if each.version)
        former = {each: count for each, count in versions.items() if each != function.version}
        for version, count in sorted(former.items()):
            instances = "an instance" if count == 1 else f"{count} instances"
            click.echo(f"{function.name}: version {version} still has {instances}")
        if function.note:
            click.echo(f"{function.name}: {function.note}")
    scheduled = [(f.name, each) for f in functions for each in f.schedules]
    if scheduled:
        click.echo()
        print_table(
            ("FUNCTION", "SCHEDULE", "WHEN", "STATE", "NEXT", "LAST", "OUTCOME"),
            [_schedule_row(name, schedule) for name, schedule in scheduled],
        )


def _row(function: FunctionStatus) -> tuple[object, ...]:
    starts = ", ".join(
        f"{count} {kind}" for kind, count in sorted(function.starts.items()) if count
    )
    return (
        function.name,
        function.state,
        "-" if function.instances is None else len(function.instances),
        function.snapshot,
        "-" if function.requests is None else function.requests,
        starts or "-",
        function.largest_batch or "-",
        function.url,
    )


def _schedule_row(function: str, schedule: ScheduleStatus) -> tuple[object, ...]:
    zone = "" if schedule.timezone == "UTC" else f" {schedule.timezone}"
    return (
        function,
        schedule.name,
        schedule.expression + zone,
        schedule.state,
        _moment(schedule.next),
        _moment(schedule.last),
        schedule.outcome or "-",
    )


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
