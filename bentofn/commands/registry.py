"""`bentofn push` and `pull`: bentos in OCI registries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from bentofn.commands.compiled_travel import (
    asking,
    attach_all_compiled,
    compiled_document,
    compiled_option,
)
from bentofn.commands.keys import read_verify_key, verify_key_option
from bentofn.commands.models import entry_document
from bentofn.commands.output import json_option, print_json, progress
from bentofn.commands.snapshot_travel import (
    attach_all_snapshots,
    fitting_document,
    keep_fitting,
    snapshots_option,
)
from bentofn.packager.home import Home
from bentofn.packager.kept.travel import FittingCompiled, keep_arrived
from bentofn.packager.registry.reference import parse_reference
from bentofn.packager.registry.transfer import Transferred
from bentofn.packager.registry.transfer import pull as pull_bento
from bentofn.packager.registry.transfer import push as push_bento
from bentofn.packager.sizes import human_size
from bentofn.packager.snapshot.fitting import Fitting
from bentofn.packager.store import Store
from bentofn.packager.trust.signing import requiring

insecure_option = click.option(
    "--insecure", is_flag=True, help="Plain HTTP, also for a registry that is not on this machine."
)


@click.command()
@click.argument("tag")
@click.argument("reference", metavar="REGISTRY/REPOSITORY[:TAG]")
@insecure_option
@click.option(
    "--snapshots", is_flag=True,
    help="With its snapshots of this machine that hold no secret (`bentofn snapshot take`).",
)  # fmt: skip
@click.option("--compiled", is_flag=True, help="With what it compiled at its first use here.")
@json_option
def push(
    tag: str, reference: str, insecure: bool, snapshots: bool, compiled: bool, as_json: bool
) -> None:
    """Send a bento to a registry; without a TAG its version is the tag."""
    target = parse_reference(reference)
    store = Store(Home.default())
    with progress() as report:
        if snapshots:
            attach_all_snapshots(store, store.get("bento", tag), report)
        if compiled:
            attach_all_compiled(store, store.get("bento", tag), report)
        done = push_bento(store, tag, target, report, insecure=insecure)
    _show(f"Pushed {done.entry.tag} to {done.reference}", done, {}, as_json)


@click.command()
@click.argument("reference", metavar="REGISTRY/REPOSITORY[:TAG]")
@insecure_option
@verify_key_option
@click.option(
    "--lazy", is_flag=True,
    help="Fetch what a first answer needs; the rest stays there until somebody asks for it.",
)  # fmt: skip
@snapshots_option
@compiled_option
@json_option
def pull(
    reference: str,
    insecure: bool,
    verify_key: Path | None,
    lazy: bool,
    snapshots: bool,
    compiled: bool,
    as_json: bool,
) -> None:
    """Fetch a bento from a registry; without a TAG the tag is latest."""
    if lazy and snapshots:
        raise click.UsageError("A snapshot needs the whole bento: choose --lazy or --snapshots.")
    if lazy and compiled:
        raise click.UsageError("What was compiled comes with the whole bento: leave out --lazy.")
    source = parse_reference(reference)
    check = requiring(read_verify_key(verify_key), str(source))
    with progress() as report:
        store = Store(Home.default())
        fitting = Fitting(store.home) if snapshots else None
        code = FittingCompiled() if compiled else None
        fits = asking(fitting, code)
        done = pull_bento(
            store, source, report, insecure=insecure, check=check, lazy=lazy, fits=fits
        )
        if code is not None:
            keep_arrived(store.home, done.entry, report)
        if fitting is not None:
            keep_fitting(store.home, done.entry, fitting, report)
    document = fitting_document(fitting, as_json) | compiled_document(code, as_json)
    _show(f"Pulled {done.entry.tag} from {done.reference}", done, document, as_json)


def _show(sentence: str, done: Transferred, document: Mapping[str, object], as_json: bool) -> None:
    if as_json:
        moved = {"moved_bytes": done.moved, "skipped_bytes": done.skipped}
        where = {"reference": str(done.reference)}
        print_json(entry_document(done.entry) | where | moved | dict(document))
        return
    there = f", {human_size(done.skipped)} were there" if done.skipped else ""
    later = " now; the rest stays there until it is needed" if done.entry.lazy else ""
    click.echo(f"{sentence} ({human_size(done.moved)}{there}{later})")
