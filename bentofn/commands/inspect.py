"""`bentofn inspect`: what is inside a bento and why, and what differs between two."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import click

from bentofn.commands.bentos import describe_reference
from bentofn.commands.models import entry_document
from bentofn.commands.output import json_option, print_json, print_table
from bentofn.packager.compare import Difference, FileChange, compare
from bentofn.packager.home import Home
from bentofn.packager.inspect import LayerContent
from bentofn.packager.inspect import inspect as inspect_bento
from bentofn.packager.lazy.whole import refuse_lazy
from bentofn.packager.obstacles import kept_obstacles
from bentofn.packager.sizes import human_size
from bentofn.packager.store import Entry, Store
from bentofn.runtime.manifest import BentoManifest

LARGEST = 5
"""Files of a layer that the table shows; ``--layer`` and ``--json`` show all of them."""

MOST_CHANGES = 30
"""Changed files of a layer that the table shows; ``--json`` shows all of them."""


@click.command()
@click.argument("tags", nargs=-1, required=True, metavar="TAG | --diff A B")
@click.option("--layer", metavar="NAME", help="All files and tensors of this layer.")
@click.option("--diff", is_flag=True, help="Show what differs between two bentos.")
@json_option
def inspect(tags: tuple[str, ...], layer: str | None, diff: bool, as_json: bool) -> None:
    """Show a bento's layers and files and who wanted them, or what differs between two bentos."""
    if len(tags) != (2 if diff else 1):
        raise click.UsageError("Give two tags with --diff." if diff else "Give one tag.")
    if diff and layer is not None:
        raise click.UsageError("--layer and --diff do not go together.")
    home = Home.default()
    store = Store(home)
    entries = [refuse_lazy(store.get("bento", tag)) for tag in tags]
    if diff:
        difference = compare(store, *entries)
        if as_json:
            sides = {"before": entry_document(entries[0]), "after": entry_document(entries[1])}
            print_json(sides | dataclasses.asdict(difference))
        else:
            _show_difference(difference)
        return
    layers = inspect_bento(store, entries[0], layer)
    bento = store.bento(entries[0])
    obstacles = kept_obstacles(home, entries[0].digest)
    if as_json:
        contents = [dataclasses.asdict(content) | {"cold": content.cold} for content in layers]
        described = {
            "models": [dataclasses.asdict(model) for model in bento.models],
            "slimmed": [dataclasses.asdict(saving) for saving in bento.slimmed],
            "obstacles": None if obstacles is None else list(obstacles),
        }
        print_json(entry_document(entries[0]) | described | {"layers": contents})
        return
    if layer is None:
        _show_bento(entries[0], layers, bento)
        for obstacle in obstacles or ():
            click.echo(f"\n{obstacle}")
    else:
        for content in layers:
            _show_layer(content)


def _show_bento(entry: Entry, layers: Sequence[LayerContent], bento: BentoManifest) -> None:
    click.echo(f"{entry.tag}  {entry.digest}  {human_size(entry.size)}")
    for model in bento.models:
        click.echo(f"model {describe_reference(model)}")
    print_table(
        ("LAYER", "KIND", "PACKED", "UNPACKED", "HOT", "COLD", "FILES", "DIGEST"),
        [_row(content) for content in layers],
    )
    if all(content.hot is None for content in layers):
        click.echo("What is hot was not traced; `bentofn build --slim traced` does that.")
    click.echo()
    print_table(("LAYER", "WHY"), [(content.name, content.why) for content in layers])
    if bento.slimmed:
        click.echo()
        print_table(
            ("SLIMMED", "FILES", "SAVED"),
            [(each.rule, each.files, human_size(each.bytes)) for each in bento.slimmed],
        )
    for content in layers:
        _show_largest(content)


def _row(layer: LayerContent) -> tuple[object, ...]:
    sizes = [_size(size) for size in (layer.packed, layer.unpacked, layer.hot, layer.cold)]
    files = f"{len(layer.files)} in {layer.parts} parts" if layer.parts > 1 else len(layer.files)
    return layer.name, layer.kind, *sizes, files, layer.digest[:19]


def _show_largest(content: LayerContent) -> None:
    click.echo()
    print_table(
        (f"LARGEST FILES OF {content.name}", "SIZE", "HOT"),
        [(file.path, _size(file.size), _size(file.hot)) for file in content.files[:LARGEST]],
    )
    more = []
    if len(content.files) > LARGEST:
        more.append(f"{len(content.files) - LARGEST} files")
    if content.tensors:
        more.append(f"{len(content.tensors)} tensors")
    if more:
        click.echo(f"and {' and '.join(more)}: --layer {content.name}")


def _show_layer(content: LayerContent) -> None:
    click.echo(f"{content.name}  {content.digest}  {human_size(content.packed)}")
    click.echo(content.why)
    click.echo()
    print_table(
        ("SIZE", "HOT", "ASKED FOR BY", "WHY", "FILE"),
        [
            (_size(file.size), _size(file.hot), ", ".join(file.asked) or "-", file.why, file.path)
            for file in content.files
        ],
    )
    if not content.tensors:
        return
    click.echo()
    print_table(
        ("TENSOR", "DTYPE", "SHAPE", "DIGEST"),
        [
            (each.name, each.dtype, "x".join(map(str, each.shape)) or "scalar", each.digest[:19])
            for each in content.tensors
        ],
    )


def _show_difference(difference: Difference) -> None:
    print_table(
        ("LAYER", "KIND", "CHANGE", "BEFORE", "AFTER", "TO FETCH"),
        [
            (e.name, e.kind, e.change, _size(e.before), _size(e.after), _size(e.fetched or None))
            for e in difference.layers
        ],
    )
    for layer in difference.layers:
        if layer.files:
            _show_changes(layer.name, layer.files)
    click.echo(f"\n{human_size(difference.fetched)} to fetch for a node that has the first")


def _show_changes(name: str, files: Sequence[FileChange]) -> None:
    click.echo()
    print_table(
        (f"FILE OF {name}", "CHANGE", "BEFORE", "AFTER"),
        [(f.path, f.change, _size(f.before), _size(f.after)) for f in files[:MOST_CHANGES]],
    )
    if len(files) > MOST_CHANGES:
        click.echo(f"and {len(files) - MOST_CHANGES} files: --json shows them")


def _size(size: int | None) -> str:
    return "-" if size is None else human_size(size)
