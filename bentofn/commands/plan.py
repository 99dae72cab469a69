"""`bentofn plan`: what a deployment would change, send, refuse and cost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from bentofn.adapters.plan import Change, Cost, Plan
from bentofn.commands.arguments import argument_options, read_arguments
from bentofn.commands.functions import adapter_of, target_option
from bentofn.commands.output import json_option, print_json, progress
from bentofn.commands.overrides import check_profile, overridden, override_options
from bentofn.packager.home import Home
from bentofn.packager.sizes import human_size
from bentofn.runtime.errors import UserError

_SHOWN = 3
"""Members of a list that are shown."""

_SIGNS = {"create": "+", "update": "~", "delete": "-"}


@click.command()
@click.argument("source", default=".")
@target_option
@click.option("--function", "only", help="Only this function of serverless.yml.")
@click.option(
    "--load", metavar="COUNT/PERIOD,DURATION",
    help="Say what it would cost at this load, such as 100/day,0.2s.",
)  # fmt: skip
@override_options
@argument_options
@json_option
def plan(
    source: str,
    target: str,
    only: str | None,
    load: str | None,
    stage: str | None,
    snapshot: str | None,
    profile: str | None,
    arguments: tuple[str, ...],
    argument_file: Path | None,
    as_json: bool,
) -> None:
    """Show what a deployment of SOURCE would do, and change nothing.

    SOURCE is a project's folder (with or without serverless.yml) or a bento's tag. The exit status
    is 1 where the target would refuse it. Of several functions, one that cannot be planned does not
    keep the others.
    """
    # Here, because a YAML parser is not for every command.
    from bentofn.adapters.load import Load
    from bentofn.adapters.secret import secret_values
    from bentofn.commands.sources import declared, to_deploy

    check_profile(profile)
    expected = None if load is None else Load.parse(load)
    given = read_arguments(arguments, argument_file)
    home, adapter = Home.default(), adapter_of(target)
    adapter.check_installed()
    plans: list[Plan] = []
    failed: dict[str, str] = {}
    with progress() as report:
        functions = declared(source, only, given, home, report, target, stage)
        for function in functions:
            try:
                secret_values(function.settings.secrets)  # before time is spent on a build
                spec = to_deploy(function, given, home, report, target)
                plans.append(adapter.plan(overridden(spec, snapshot, profile), load=expected))
            except UserError as error:
                if len(functions) == 1:
                    raise
                failed[function.name] = str(error)
    if as_json:
        failures = [{"name": name, "error": why} for name, why in failed.items()]
        print_json([*(each.to_json() for each in plans), *failures])
    else:
        for each in plans:
            for line in lines(each):
                click.echo(line)
        for name, why in failed.items():
            click.echo(f"Error: {name} is not planned: {why}", err=True)
    if failed or not all(each.ok for each in plans):
        sys.exit(1)


def lines(plan: Plan) -> Iterator[str]:
    """A plan as a terminal shows it."""
    unchanged = "nothing changes" if plan.ok else "refused"
    yield f"{plan.function} on {plan.target}: {'changes' if plan.changes else unchanged}"
    for change in plan.changes:
        yield f"  {_SIGNS[change.action]} {_difference(change)}"
    for upload in plan.uploads:
        there = ", there already" if upload.present else ""
        yield f"  > {upload.what}, {human_size(upload.bytes)}{there}"
    for problem in plan.problems:
        yield f"  {problem.kind}: {problem.sentence}"
    if plan.cost is not None:
        yield from _bill(plan.cost)
    if not plan.ok:
        yield f"  Target {plan.target} does not take it."


def _difference(change: Change) -> str:
    if change.action == "create":
        return f"{change.path}: {_text(change.after)}"
    if change.action == "delete":
        return f"{change.path}: was {_text(change.before)}"
    return f"{change.path}: {_text(change.before)} -> {_text(change.after)}"


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        more = f" and {len(value) - _SHOWN} more" if len(value) > _SHOWN else ""
        return ", ".join(map(_text, value[:_SHOWN])) + more or "none"
    if isinstance(value, dict):
        members = (f"{key}={_text(each)}" for key, each in value.items() if each is not None)
        return ", ".join(members) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bill(cost: Cost) -> Iterator[str]:
    note = f", {cost.note}" if cost.note else ""
    yield f"  {cost.per_month:,.2f} {cost.currency} a month for {cost.load}{note}"
    for part in cost.parts:
        yield f"    {part.what}: {part.per_month:,.4f}"
