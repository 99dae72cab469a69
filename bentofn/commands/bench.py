"""`bentofn bench`: what takes how long on this machine."""

from __future__ import annotations

import asyncio
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from bentofn.commands.output import json_option, print_json, print_table, progress
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError

if TYPE_CHECKING:
    from bentofn.adapters.local.bench import Arm
    from bentofn.adapters.local.timeline.cold_starts import Measured
    from bentofn.adapters.protocol import Snapshot

SHORTEST = 5e-5
"""Seconds; a stage that takes less of every start is not shown in the table."""


@click.group()
def bench() -> None:
    """Measure on this machine."""


@bench.command("cold-start")
@click.argument("target", required=False, metavar="[FUNCTION|BENTO]")
@click.option(
    "-n", "--rounds", type=click.IntRange(min=1), default=7, show_default=True,
    help="Starts of each kind.",
)  # fmt: skip
@click.option(
    "--snapshot",
    type=click.Choice(["auto", "criu", "template", "none"]),
    help="How it starts beside plainly; by default as the function says.",
)
@click.option(
    "--trace", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write one more start of each kind, import by import, for ui.perfetto.dev.",
)  # fmt: skip
@json_option
def cold_start(
    target: str | None, rounds: int, snapshot: str | None, trace: Path | None, as_json: bool
) -> None:
    """Show where the time goes from nothing running to the first correct reply.

    A deployed FUNCTION or a BENTO is started plainly and in its fastest way in turn, and asked the
    first example that it declares; restored instances must answer as plainly started ones do.
    """
    from bentofn.adapters.local.timeline.cold_starts import measure, spec_of

    # Before minutes of starts, not after.
    if trace is not None and not os.access(trace.parent, os.W_OK | os.X_OK):
        raise UserError(f"{trace} cannot be written: {trace.parent} is no folder to write to.")
    home = Home.default()
    with progress() as report:
        spec = spec_of(home, target, cast("Snapshot | None", snapshot))
        done = asyncio.run(measure(home, spec, rounds, report, traced=trace is not None))
        if trace is not None:
            _write(trace, done)
    if as_json:
        print_json(_document(done, rounds, trace))
    else:
        _print(done, rounds, trace)


def _print(done: Measured, rounds: int, trace: Path | None) -> None:
    from bentofn.adapters.local.timeline.table import rows, untold

    for kind, arm in done.arms.items():
        stages = [row for row in rows(arm.timelines) if row.took >= SHORTEST]
        print_table(
            (kind.upper(), "IN", "FROM", "TAKES"),
            [
                *(("  " * (len(row.path) - 1) + row.path[-1], row.origin, _shown(row.began),
                   _shown(row.took)) for row in stages),
                ("other", "", "", _shown(untold(arm.timelines))),
                ("all", "", "", _shown(arm.median)),
            ],
        )  # fmt: skip
        click.echo()
    print_table(
        ("START", "MEDIAN", "MIN", "MAX", "N"),
        [
            (kind, *(f"{value:.1f} ms" for value in _row(arm).values()), rounds)
            for kind, arm in done.arms.items()
        ],
    )
    click.echo(f"From nothing to the reply of {done.path}; stages are medians.")
    if done.note:
        click.echo(f"Not faster: {done.note}.")
    if trace is not None:
        click.echo(f"{trace} opens in ui.perfetto.dev.")


def _write(trace: Path, done: Measured) -> None:
    from bentofn import __version__
    from bentofn.adapters.local.timeline.chrome import write_trace

    about = {
        "bento": done.bento,
        "bentofn": __version__,
        "machine": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    try:
        write_trace(trace, done.traced, about)
    except OSError as error:
        raise UserError(f"{trace} cannot be written: {error.strerror}.") from None


def _document(done: Measured, rounds: int, trace: Path | None) -> dict[str, Any]:
    medians = [arm.median for arm in done.arms.values()]
    return {
        "bento": done.bento,
        "path": done.path,
        "rounds": rounds,
        "starts": {kind: _row(arm) | _stages(arm) for kind, arm in done.arms.items()},
        "ratio": medians[0] / medians[-1],
        "note": done.note,
        "trace": str(trace) if trace is not None else None,
    }


def _stages(arm: Arm) -> dict[str, Any]:
    from bentofn.adapters.local.timeline.table import rows, untold

    return {
        "untold_ms": untold(arm.timelines) * 1000,
        "stages": [
            {
                "in": row.origin,
                "stage": list(row.path),
                "from_ms": row.began * 1000,
                "takes_ms": row.took * 1000,
            }
            for row in rows(arm.timelines)
        ],
    }


def _row(arm: Arm) -> dict[str, float]:
    in_seconds = {"median": arm.median, "min": min(arm.seconds), "max": max(arm.seconds)}
    return {f"{name}_ms": seconds * 1000 for name, seconds in in_seconds.items()}


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:8.2f} ms"
