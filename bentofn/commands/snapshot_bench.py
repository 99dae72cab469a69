"""`bentofn snapshot bench`: restores beside plain starts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from bentofn.commands.output import Report, json_option, print_json, print_table, progress
from bentofn.packager.home import Home

if TYPE_CHECKING:
    from bentofn.adapters.local.bench import Arm
    from bentofn.adapters.local.snapshots import Obtained


@click.command()
@click.argument("bento")
@click.option(
    "-n", "--rounds", type=click.IntRange(min=1), default=7, show_default=True,
    help="Starts of each kind.",
)  # fmt: skip
@json_option
def bench(bento: str, rounds: int, as_json: bool) -> None:
    """Measure how long BENTO takes to its first correct reply, restored and started plainly.

    In turn, from nothing running to the whole reply to the first example that it declares; restored
    instances must answer as plainly started ones do.
    """
    from bentofn.adapters.local.snapshots import take_snapshot

    home = Home.default()
    with progress() as report:
        # Not in a thread of the loop's, which would be waited for when it is interrupted.
        done = take_snapshot(home, bento, 120.0, report)
        document = asyncio.run(_measure(home, done, rounds, report))
    if as_json:
        print_json(document)
        return
    print_table(
        ("START", "MEDIAN", "MIN", "MAX", "N"),
        [
            (name, *(f"{milliseconds:.1f} ms" for milliseconds in row.values()), rounds)
            for name, row in document["starts"].items()
        ],
    )
    click.echo(
        f"From nothing to the reply of {document['path']}, restored {document['ratio']:.1f} times "
        "sooner."
    )


async def _measure(home: Home, done: Obtained, rounds: int, report: Report) -> dict[str, Any]:
    from bentofn.adapters.local.bench import Question, compare
    from bentofn.adapters.local.engines.base import Launch
    from bentofn.adapters.local.engines.plain import PlainEngine
    from bentofn.adapters.local.engines.restored.criu import CriuEngine
    from bentofn.adapters.local.engines.restored.restorer import Restorer
    from bentofn.adapters.local.environment import usable_cpus
    from bentofn.packager.snapshot.store import SnapshotStore
    from bentofn.runtime.state import VARIABLE

    subject = done.subject
    with TemporaryDirectory(prefix="bentofn-bench-") as sockets:
        # What they would keep, such as rows of monitors, goes with it.
        env = {VARIABLE: str(Path(sockets, "state"))}
        launch = Launch(
            subject.root,
            subject.python,
            subject.env,
            Path(sockets),
            lambda name, _, line: report(f"{name}: {line}"),
        )
        restorer = Restorer(SnapshotStore(home))
        plain = PlainEngine(launch)
        restored = CriuEngine(launch, subject, restorer, 120.0)
        try:
            await restored.prepare()
            report(f"Starting {done.bento.tag} {rounds} times plainly and {rounds} times restored")
            question = Question.of(done.bento.manifest)
            arms = await compare(
                {"plain": plain, "criu": restored}, question, rounds, usable_cpus(), env
            )
        finally:
            await restored.close()
            await plain.close()
            await restorer.close()
    return {
        "bento": done.bento.tag, "snapshot": done.snapshot.id, "path": question.path,
        "rounds": rounds, "starts": {name: _row(arm) for name, arm in arms.items()},
        "ratio": arms["plain"].median / arms["criu"].median,
    }  # fmt: skip


def _row(arm: Arm) -> dict[str, float]:
    in_seconds = {"median": arm.median, "min": min(arm.seconds), "max": max(arm.seconds)}
    return {f"{name}_ms": seconds * 1000 for name, seconds in in_seconds.items()}
