"""Snapshots that go to another machine with their bento, and come from one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from bentofn.commands.output import Report
from bentofn.packager.home import Home
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.snapshot.fitting import Fitting, may_travel
from bentofn.packager.snapshot.layer import attach, unpack_arrived
from bentofn.packager.snapshot.snapshot import Snapshot
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.store import Entry, Store
from bentofn.packager.trust.signing import unsigned
from bentofn.runtime.errors import UserError

snapshots_option = click.option(
    "--snapshots",
    is_flag=True,
    help="With the snapshots that fit this machine; whoever may write there can have put one, so "
    "use a --verify-key.",
)


def attach_all_snapshots(store: Store, entry: Entry, report: Report) -> None:
    """Make the snapshots of a bento that may leave this machine part of what goes with it.

    Raises:
        UserError: There is none, one is damaged, or the disk is full.
    """
    found = SnapshotStore(store.home).of_bento(entry.digest)
    travelling = [each for each in found if may_travel(store.home, each)]
    if not travelling:
        raise UserError(
            f"{entry.tag} has no snapshot that may leave this machine; take one first with: "
            f"bentofn snapshot take {entry.tag}."
        )
    kept = len(found) - len(travelling)
    if kept:
        report(f"{kept} that functions took for themselves stay here.")
    attach_snapshots(store, entry, travelling, report)


def attach_snapshots(
    store: Store, entry: Entry, snapshots: Sequence[Snapshot], report: Report
) -> None:
    """Make snapshots part of what goes with their bento.

    Raises:
        UserError: One may not leave this machine or is damaged, or the disk is full.
    """
    attached = []
    for snapshot in snapshots:
        report(f"Packing the snapshot {snapshot.id[:12]}")
        attached.append(attach(store, entry, snapshot))
    if unsigned(store, entry, attached):
        report(
            "No signature of it covers the snapshot; sign it again before you push it: "
            f"bentofn sign {entry.tag} --key KEY.pem."
        )


def keep_fitting(home: Home, entry: Entry, fitting: Fitting, report: Report) -> None:
    """Unpack the snapshots that came with a bento, so that its first start is a restore.

    The bento is unpacked too, for they map its files where they stand then.

    Raises:
        UserError: The disk is full or the home cannot be written, or a layer is damaged.
    """
    store = SnapshotStore(home)
    if fitting.keys:
        report("Unpacking the bento")
        materialise(home, entry)
    for key in fitting.keys:
        if store.get(key) is None:
            report(f"Unpacking the snapshot {key.id[:12]}")
            with store.stage(key) as stage:
                unpack_arrived(home, stage, report)


def fitting_document(fitting: Fitting | None, as_json: bool) -> dict[str, Any]:
    """What became of the snapshots that a bento came with; told too, unless as JSON."""
    if fitting is None:
        return {}
    if not as_json:
        for key in fitting.keys:
            click.echo(f"The snapshot {key.id[:12]} fits this machine.")
        for each, reason in fitting.left:
            click.echo(f"Left there: the snapshot {each[:12]} {reason}.")
        if not (fitting.keys or fitting.left):
            click.echo("It has no snapshots.")
    left = [{"id": each, "reason": reason} for each, reason in fitting.left]
    return {"snapshots": {"taken": [key.id for key in fitting.keys], "left": left}}
