"""Compiled code that goes to another machine with its bento, and comes from one."""

from __future__ import annotations

from typing import Any

import click

from bentofn.commands.output import Report
from bentofn.packager.arriving_referrers import Fits
from bentofn.packager.kept.collect import directory_of
from bentofn.packager.kept.travel import FittingCompiled, attach_compiled
from bentofn.packager.snapshot.fitting import Fitting
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.descriptors import COMPILED, SNAPSHOT
from bentofn.packager.trust.signing import unsigned

compiled_option = click.option(
    "--compiled",
    is_flag=True,
    help="With the compiled code that fits this machine; whoever may write there can have put it, "
    "so use a --verify-key.",
)


def asking(snapshots: Fitting | None, compiled: FittingCompiled | None) -> dict[str, Fits]:
    """Who says what of each kind fits, of those that are asked for."""
    asked: dict[str, Fits | None] = {SNAPSHOT: snapshots, COMPILED: compiled}
    return {kind: fits for kind, fits in asked.items() if fits is not None}


def attach_all_compiled(store: Store, entry: Entry, report: Report) -> None:
    """Make what a bento compiled on this machine part of what goes with it.

    Raises:
        UserError: It compiled nothing here, or the disk is full.
    """
    report("Packing what was compiled")
    attached = attach_compiled(store, entry)
    if unsigned(store, entry, attached):
        report(
            "No signature of it covers what was compiled; sign it again before you push it: "
            f"bentofn sign {entry.tag} --key KEY.pem."
        )


def compiled_document(fitting: FittingCompiled | None, as_json: bool) -> dict[str, Any]:
    """What became of the compiled code that a bento came with; told too, unless as JSON."""
    if fitting is None:
        return {}
    if not as_json:
        for kept in fitting.taken:
            click.echo(f"What was compiled fits this machine: {', '.join(kept.what)}.")
        for reason in fitting.left:
            click.echo(f"Left there: what was compiled {reason}.")
        if not (fitting.taken or fitting.left):
            click.echo("Nothing compiled came with it.")
    taken = [directory_of(kept.host) for kept in fitting.taken]
    return {"compiled": {"taken": taken, "left": fitting.left}}
