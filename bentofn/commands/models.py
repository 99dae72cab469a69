"""`bentofn models`: the model store."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from bentofn.commands.labels import parse_labels
from bentofn.commands.output import json_option, print_json, print_table, progress
from bentofn.packager.home import Home
from bentofn.packager.modelstore import describe_model, export_model
from bentofn.packager.modelstore.access import model_files
from bentofn.packager.modelstore.sharing import shared_bytes
from bentofn.packager.roots.materialise import prune
from bentofn.packager.sizes import human_size
from bentofn.packager.store import Entry, Kind, Store
from bentofn.runtime.models import HUB_PREFIX


@click.group()
def models() -> None:
    """Weights as safetensors, content-addressed."""


@models.command("import")
@click.argument("source")
@click.option("--name", help="The model's name; by default the source's.")
@click.option("--version", help="Its version; by default the source's, else from its content.")
@click.option("--label", "labels", multiple=True, metavar="KEY=VALUE", help="May be repeated.")
@click.option("--format", help="What a file is whose name and content do not say it.")
@click.option("--trust", multiple=True, metavar="TYPE", help="A type that a .skops file may name.")
@click.option("--allow-pickle", is_flag=True, help="Carry pickles, and say what they import.")
@json_option
def import_(
    source: str,
    name: str | None,
    version: str | None,
    labels: tuple[str, ...],
    format: str | None,
    trust: tuple[str, ...],
    allow_pickle: bool,
    as_json: bool,
) -> None:
    """Store the model at SOURCE.

    A directory, a .safetensors file, a torch checkpoint (.pt, .bin, .ckpt), an ONNX, GGUF, skops,
    XGBoost, LightGBM, CatBoost, TorchScript or torch.export file, a SavedModel's folder, or
    hf:org/name@revision of the Hugging Face hub.
    """
    from bentofn.packager.modelsources.importing import import_source
    from bentofn.packager.modelstore.policy import Policy

    store = Store(Home.default())
    # huggingface_hub shows bars of its own.
    with progress(spinner=not source.startswith(HUB_PREFIX)) as report:
        entry = import_source(
            store,
            source,
            name,
            version,
            parse_labels(labels),
            policy=Policy(format, trust, allow_pickle),
            report=report,
        )
    document = _document(store, entry)
    if as_json:
        print_json(document)
        return
    click.echo(f"Imported {entry.tag} ({human_size(entry.size)})")


@models.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the models.

    SHARED is what others of them hold too, so that it is stored once.
    """
    store = Store(Home.default())
    entries = store.list("model")
    shared = shared_bytes(store, entries)
    if as_json:
        pairs = zip(entries, shared, strict=True)
        print_json([entry_document(entry) | {"shared": size} for entry, size in pairs])
        return
    print_table(
        ("MODEL", "SIZE", "SHARED", "CREATED", "DIGEST"),
        [
            (
                entry.tag,
                human_size(entry.size),
                human_size(size),
                f"{entry.created:%Y-%m-%d %H:%M}",
                entry.digest[:19],
            )
            for entry, size in zip(entries, shared, strict=True)
        ],
    )


@models.command()
@click.argument("tag")
@json_option
def get(tag: str, as_json: bool) -> None:
    """Show one model: its files and its tensors."""
    store = Store(Home.default())
    entry = store.get("model", tag)
    document = _document(store, entry)
    if as_json:
        print_json(document)
        return
    click.echo(f"{entry.tag}  {entry.digest}  {human_size(entry.size)}")
    info = describe_model(store, entry)
    if info.format:
        click.echo(f"format {info.format}")
    if info.origin.get("source") == "huggingface":
        click.echo(f"from hf:{info.origin['model_id']}@{info.origin['commit']}")
    for path, names in info.pickles.items():
        click.echo(f"{path} is a pickle that imports {', '.join(names)}")
    print_table(
        ("FILE", "SIZE"),
        [(path, human_size(size)) for path, size in model_files(store, entry).items()],
    )


@models.command()
@click.argument("tags", nargs=-1, required=True)
@json_option
def delete(tags: tuple[str, ...], as_json: bool) -> None:
    """Delete models; bentos that carry them keep what they need."""
    delete_entries(Store(Home.default()), "model", tags, as_json)


@models.command()
@click.argument("tag")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@json_option
def export(tag: str, directory: Path, force: bool, as_json: bool) -> None:
    """Write a model's files into a directory."""
    entry = export_model(Store(Home.default()), tag, directory, force=force)
    if as_json:
        print_json(entry_document(entry) | {"directory": str(directory.absolute())})
        return
    click.echo(f"Wrote {entry.tag} to {directory}")


def delete_entries(store: Store, kind: Kind, tags: tuple[str, ...], as_json: bool) -> None:
    """Delete bentos or models and free what nothing else needs.

    Raises:
        UserError: One of them is not there; then none is deleted.
    """
    found = dict.fromkeys(store.get(kind, tag).tag for tag in tags)
    deleted = [store.delete(kind, tag) for tag in found]
    # Whatever puts blobs says so to the store, so that none is too young to be taken for garbage.
    freed = store.gc(minimum_age=0)
    prune(store.home)
    if as_json:
        print_json({"deleted": [entry.tag for entry in deleted], "freed_bytes": freed.size})
        return
    for entry in deleted:
        click.echo(f"Deleted {entry.tag}")
    if freed.busy:
        click.echo("A build runs, so that its space is freed by the next delete.")
    else:
        click.echo(f"Freed {human_size(freed.size)} of the store")


def entry_document(entry: Entry) -> dict[str, object]:
    """An entry of the store as plain data."""
    return {
        "tag": entry.tag,
        "name": entry.name,
        "version": entry.version,
        "digest": entry.digest,
        "created": entry.created.isoformat(),
        "size": entry.size,
        **({"missing_blobs_are_at": entry.lazy} if entry.lazy else {}),
    }


def _document(store: Store, entry: Entry) -> dict[str, object]:
    info = dataclasses.asdict(describe_model(store, entry))
    return info | entry_document(entry) | {"files": model_files(store, entry)}
