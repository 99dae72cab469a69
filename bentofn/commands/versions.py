"""`bentofn versions`, `rollback` and `promote`: what was deployed before, and back to it."""

from __future__ import annotations

import dataclasses

import click

from bentofn.adapters.statuses import Deployed
from bentofn.commands.functions import adapter_of, target_option
from bentofn.commands.output import json_option, print_json, print_table, progress


@click.command()
@click.argument("name")
@target_option
@json_option
def versions(name: str, target: str, as_json: bool) -> None:
    """List the versions of the function NAME that its target still has."""
    found = adapter_of(target).versions(name)
    if as_json:
        print_json([dataclasses.asdict(version) for version in found])
        return
    print_table(
        ("VERSION", "REQUESTS", "BENTO", "DEPLOYED", "NOTE"),
        [
            (each.number, f"{each.weight * 100:g}%", each.bento, _moment(each.created), each.note)
            for each in found
        ],
    )


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1), required=False)
@target_option
@json_option
def rollback(name: str, version: int | None, target: str, as_json: bool) -> None:
    """Give all requests of the function NAME to VERSION, or to the one before the live one."""
    adapter = adapter_of(target)
    with progress() as report:
        deployed = adapter.rollback(name, version, report)
    _print(deployed, as_json)


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
@click.option(
    "--percent", default=100.0, show_default=True, help="Its share of the requests.",
    type=click.FloatRange(0, 100, min_open=True),
)  # fmt: skip
@target_option
@json_option
def promote(name: str, version: int, percent: float, target: str, as_json: bool) -> None:
    """Give VERSION of the function NAME a share of its requests, or all of them."""
    adapter = adapter_of(target)
    with progress() as report:
        deployed = adapter.promote(name, version, percent / 100, report)
    if percent < 100 and not as_json:
        click.echo(f"{name}  version {version} gets {percent:g}% of the requests")
    else:
        _print(deployed, as_json)


def _moment(created: str) -> str:
    """Of whatever fraction of a second a target tells, as bentofn status writes it."""
    return f"{created[:19].replace('T', ' ')}Z" if created else "-"


def _print(deployed: Deployed, as_json: bool) -> None:
    if as_json:
        print_json(dataclasses.asdict(deployed))
        return
    unchanged = "" if deployed.changed else ", unchanged"
    click.echo(f"{deployed.name}  {deployed.bento}  version {deployed.version}{unchanged}")
    if deployed.note:
        click.echo(f"  {deployed.note}")
