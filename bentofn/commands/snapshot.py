"""`bentofn snapshot`: the memory of started services, kept on disk."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

import click

from bentofn.commands.output import json_option, print_json, print_table, progress
from bentofn.commands.snapshot_setup import setup
from bentofn.commands.snapshot_travel import attach_snapshots
from bentofn.packager.home import Home
from bentofn.packager.sizes import human_size
from bentofn.packager.snapshot.fitting import may_travel
from bentofn.packager.snapshot.snapshot import Snapshot
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError

_ID = re.compile(r"[0-9a-f]{4,32}")


@click.group()
def snapshot() -> None:
    """Started services on disk, restored in the place of a start.

    A function takes its own when it is first called; these commands do it ahead, and show what
    there is. All of them together take at most 20 GiB: then those go that were not used for
    longest (BENTOFN_SNAPSHOTS_MAX, such as 50GiB, says otherwise; 0 is no limit).
    """


@snapshot.command()
@click.argument("bento")
@click.option(
    "--again",
    is_flag=True,
    help="Even if there is one that fits; it is replaced once that is done.",
)
@click.option(
    "--attach", "attached", is_flag=True,
    help="Have it signed, pushed and exported with the bento from now on.",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=120.0, show_default=True, metavar="SECONDS",
    help="In which the service must be constructed and warm.",
)  # fmt: skip
@json_option
def take(bento: str, again: bool, attached: bool, timeout: float, as_json: bool) -> None:
    """Take a snapshot of BENTO, a tag, or find the one that is there.

    It is taken with the variables that the bento itself declares: a function that sets others takes
    its own.
    """
    from bentofn.adapters.local.snapshots import take_snapshot

    home = Home.default()
    with progress() as report:
        done = take_snapshot(home, bento, timeout, report, again=again)
        if attached:
            store = Store(home)
            attach_snapshots(store, store.get("bento", bento), [done.snapshot], report)
    found = done.snapshot
    if as_json:
        print_json(snapshot_document(home, found) | {"taken": done.taken})
        return
    what = "Took" if done.taken else "There is"
    origin = found.origin
    click.echo(
        f"{what} the snapshot {found.id[:12]} of {origin.bento}: {human_size(found.disk_size)}, "
        f"{origin.mappings} mappings, taken in {origin.seconds:.1f} s"
    )


@snapshot.command("list")
@click.argument("bento", required=False)
@json_option
def list_snapshots(bento: str | None, as_json: bool) -> None:
    """List the snapshots of this machine, or of BENTO; the last used first."""
    from bentofn.adapters.local.snapshots import why_not_here

    home = Home.default()
    found = SnapshotStore(home).list() if bento is None else _of_bento(home, bento)
    problems = [why_not_here(each) for each in found]
    if as_json:
        documents = zip(found, problems, strict=True)
        print_json(
            [snapshot_document(home, each) | {"problem": problem} for each, problem in documents]
        )
        return
    print_table(
        ("SNAPSHOT", "BENTO", "SIZE", "TAKEN", "USED", "MAY TRAVEL"),
        [
            (
                each.id[:12], each.origin.bento, human_size(each.disk_size),
                f"{each.origin.created.astimezone():%Y-%m-%d %H:%M}", _ago(each.used),
                "yes" if may_travel(home, each) else "no",
            )
            for each in found
        ],
    )  # fmt: skip
    for each, problem in zip(found, problems, strict=True):
        if problem is not None:
            click.echo(f"{each.id[:12]} {problem}.")
    unreadable = SnapshotStore(home).unreadable()
    if unreadable:
        names = ", ".join(path.name[:12] for path in unreadable)
        click.echo(f"Damaged, or of another bentofn: {names}; `bentofn doctor --fix` removes them.")


@snapshot.command()
@click.argument("names", nargs=-1, required=True, metavar="SNAPSHOT|BENTO...")
@click.option("--force", is_flag=True, help="Even what instances are started from.")
@json_option
def delete(names: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Delete snapshots, by the first digits of their names, or all of a BENTO.

    Instances that run go on. The next start of a function whose snapshot is gone is a plain one.
    """
    home = Home.default()
    store = SnapshotStore(home)
    wanted = {each.id: each for name in names for each in _meant(home, name)}
    freed = sum(each.disk_size for each in wanted.values())
    if not force:
        for each in wanted.values():
            store.refuse_if_used(each)
    for each in wanted.values():
        store.delete(each, force=force)
    if as_json:
        print_json({"deleted": list(wanted), "freed_bytes": freed})
        return
    for each in wanted.values():
        click.echo(f"Deleted the snapshot {each.id[:12]} of {each.origin.bento}")
    click.echo(f"Freed {human_size(freed)}")


snapshot.add_command(setup)


def snapshot_document(home: Home, snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as plain data."""
    return {
        "id": snapshot.id,
        "bento": snapshot.origin.bento,
        "digest": snapshot.key.bento,
        "size": snapshot.size,
        "disk_size": snapshot.disk_size,
        "mappings": snapshot.origin.mappings,
        "seconds": snapshot.origin.seconds,
        "created": snapshot.origin.created.isoformat(),
        "used": snapshot.used.isoformat(),
        "warmed": snapshot.key.warmed,
        "may_travel": may_travel(home, snapshot),
        "criu": snapshot.key.criu,
        "path": str(snapshot.path),
    }


def _meant(home: Home, name: str) -> tuple[Snapshot, ...]:
    if Store(home).find("bento", name) is None and _ID.fullmatch(name):
        return (SnapshotStore(home).find(name),)
    found = _of_bento(home, name)
    if not found:
        raise UserError(f"{name} has no snapshot; `bentofn snapshot list` shows what there is.")
    return found


def _of_bento(home: Home, tag: str) -> tuple[Snapshot, ...]:
    return SnapshotStore(home).of_bento(Store(home).get("bento", tag).digest)


def _ago(when: datetime) -> str:
    seconds = (datetime.now(timezone.utc) - when).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit} ago"
    return "just now"
