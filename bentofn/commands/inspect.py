"""`bentofn inspect`: what is inside a bento, and what differs between two."""

from __future__ import annotations

import dataclasses

import click

from bentofn.commands.bentos import describe_reference
from bentofn.commands.models import entry_document
from bentofn.commands.output import human_size, json_option, print_json, print_table
from bentofn.packager.home import Home
from bentofn.packager.inspect import Difference, LayerContent, compare
from bentofn.packager.inspect import inspect as inspect_bento
from bentofn.packager.lazy.whole import refuse_lazy
from bentofn.packager.store import Store

LARGEST = 10
"""Files of a layer that the table shows; ``--layer`` and ``--json`` show all of them."""


@click.command()
@click.argument("tags", nargs=-1, required=True, metavar="TAG | --diff A B")
@click.option("--layer", metavar="NAME", help="All files and tensors of this layer.")
@click.option("--diff", is_flag=True, help="Show what differs between two bentos.")
@json_option
def inspect(tags: tuple[str, ...], layer: str | None, diff: bool, as_json: bool) -> None:
    """Show a bento's layers and files, or what differs between two bentos."""
    if len(tags) != (2 if diff else 1):
        raise click.UsageError("Give two tags with --diff." if diff else "Give one tag.")
    if diff and layer is not None:
        raise click.UsageError("--layer and --diff do not go together.")
    store = Store(Home.default())
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
    models = store.bento(entries[0]).models
    if as_json:
        contents = [dataclasses.asdict(content) for content in layers]
        described = [dataclasses.asdict(model) for model in models]
        print_json(entry_document(entries[0]) | {"models": described, "layers": contents})
        return
    click.echo(f"{entries[0].tag}  {entries[0].digest}  {human_size(entries[0].size)}")
    for model in models:
        click.echo(f"model {describe_reference(model)}")
    print_table(
        ("LAYER", "KIND", "PACKED", "UNPACKED", "FILES", "DIGEST"),
        [_row(content) for content in layers],
    )
    for content in layers:
        _show_content(content, whole=layer is not None)


def _row(layer: LayerContent) -> tuple[object, ...]:
    sizes = human_size(layer.packed), human_size(layer.unpacked)
    return layer.name, layer.kind, *sizes, len(layer.files), layer.digest[:19]


def _show_content(content: LayerContent, *, whole: bool) -> None:
    shown = content.files if whole else content.files[:LARGEST]
    click.echo()
    print_table(
        (f"{'FILES' if whole else 'LARGEST FILES'} OF {content.name}", "SIZE"),
        [(file.path, human_size(file.size)) for file in shown],
    )
    if not content.tensors:
        return
    if not whole:
        click.echo(f"{len(content.tensors)} tensors; --layer {content.name} lists them")
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
        ("LAYER", "KIND", "CHANGE", "BEFORE", "AFTER"),
        [
            (each.name, each.kind, each.change, _size(each.before), _size(each.after))
            for each in difference.layers
        ],
    )
    for layer in difference.layers:
        if layer.files:
            click.echo()
            print_table(
                (f"FILE OF {layer.name}", "CHANGE", "BEFORE", "AFTER"),
                [(f.path, f.change, _size(f.before), _size(f.after)) for f in layer.files],
            )
    click.echo(f"\n{human_size(difference.fetched)} to fetch for a node that has the first")


def _size(size: int | None) -> str:
    return "-" if size is None else human_size(size)
