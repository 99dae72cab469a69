"""`bentofn list`, `get` and `delete`: the bentos of this machine."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

import click

from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.commands.models import delete_entries, entry_document
from bentofn.commands.output import json_option, print_json, print_table
from bentofn.packager.home import Home
from bentofn.packager.lazy.figures import Figures
from bentofn.packager.sizes import human_size
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.zygote import orphaned_zygotes
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.referrers import referrers
from bentofn.packager.trust.kinds import name_of
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import ModelReference


@click.command("list")
@json_option
def list_bentos(as_json: bool) -> None:
    """List the bentos on this machine."""
    entries = Store(Home.default()).list("bento")
    if as_json:
        print_json([entry_document(entry) for entry in entries])
        return
    print_table(
        ("BENTO", "SIZE", "CREATED", "DIGEST"),
        [
            (e.tag, human_size(e.size), f"{e.created:%Y-%m-%d %H:%M}", e.digest[:19])
            for e in entries
        ],
    )


@click.command()
@click.argument("tag")
@json_option
def get(tag: str, as_json: bool) -> None:
    """Show one bento: its manifest and its layers."""
    store = Store(Home.default())
    entry = store.get("bento", tag)
    manifest = store.bento(entry)
    layers = store.layers(entry)
    figures = Figures.of(store.home, entry).document()
    about = [each.artifact_type for each in referrers(store, entry.digest)]
    if as_json:
        document = entry_document(entry) | figures | {"manifest": dataclasses.asdict(manifest)}
        document |= {"layers": [dataclasses.asdict(layer) for layer in layers]}
        print_json(document | {"referrers": about})
        return
    click.echo(f"{entry.tag}  {entry.digest}  {human_size(entry.size)}")
    if figures:
        click.echo(_lazily(entry, figures))
    click.echo(
        f"service {manifest.contract.import_string}, Python {manifest.python}, {manifest.platform}"
    )
    for api in manifest.contract.apis:
        click.echo(f"  POST {manifest.contract.path_prefix}{api.route}")
    for tag in dict.fromkeys(f"{model.name}:{model.version}" for model in manifest.models):
        click.echo(f"  model {tag}")
    print_table(
        ("LAYER", "KIND", "SIZE", "DIGEST"),
        [(e.name, e.kind, human_size(e.size), e.digest[:19]) for e in layers],
    )
    if about:
        names = Counter(name_of(each) for each in about)
        shown = (f"{name} ({count})" if count > 1 else name for name, count in names.items())
        click.echo(f"with {', '.join(shown)}")


def describe_reference(model: ModelReference) -> str:
    """A bento's model in one line, and what computes it and where it came from."""
    made_from = model.exported
    if made_from is None:
        return f"{model.name}:{model.version}"
    return (
        f"{model.name}:{model.version}  {model.runtime}, exported from {made_from.tag} "
        f"by {made_from.module} ({', '.join(made_from.tools)})"
    )


def _lazily(entry: Entry, figures: Mapping[str, int | None]) -> str:
    state = f"the rest is at {entry.lazy}" if entry.lazy else "and all of it is here now"
    first = figures["fetched_before_first_answer"]
    answered = f", {human_size(first)} of them before its first answer" if first else ""
    fetched = human_size(figures["fetched_bytes"] or 0)
    return f"pulled lazily: {fetched} were fetched{answered}; {state}"


@click.command()
@click.argument("tags", nargs=-1, required=True)
@json_option
def delete(tags: tuple[str, ...], as_json: bool) -> None:
    """Delete bentos from this machine."""
    home = Home.default()
    store = Store(home)
    entries = [store.get("bento", tag) for tag in tags]
    for entry in entries:
        _refuse_if_deployed(home, entry)
    delete_entries(store, "bento", tags, as_json)
    _delete_snapshots(store, {entry.digest for entry in entries})


def _delete_snapshots(store: Store, digests: set[str]) -> None:
    """Remove the snapshots of bentos that are here under no name, and of packages without any."""
    gone = digests - {entry.digest for entry in store.list("bento")}
    snapshots = SnapshotStore(store.home)
    for digest in gone:
        for snapshot in snapshots.of_bento(digest):
            snapshots.delete(snapshot, force=True)
    for zygote in orphaned_zygotes(snapshots):
        snapshots.delete(zygote, force=True)


def _refuse_if_deployed(home: Home, entry: Entry) -> None:
    users = [each.name for each in LocalAdapter(home).status() if each.bento == entry.tag]
    if users:
        raise UserError(
            f"{entry.tag} is deployed as {', '.join(users)}; remove that first with: "
            f"bentofn destroy {' '.join(users)}."
        )
