"""`bentofn export` and `import`: a bento as one file."""

from __future__ import annotations

from pathlib import Path

import click

from bentofn.commands.compiled_travel import asking, compiled_document, compiled_option
from bentofn.commands.keys import read_verify_key, verify_key_option
from bentofn.commands.models import entry_document
from bentofn.commands.output import json_option, print_json, progress
from bentofn.commands.snapshot_travel import fitting_document, keep_fitting, snapshots_option
from bentofn.packager.archive import export_bento, import_bento
from bentofn.packager.bentoml.build import build_export
from bentofn.packager.bentoml.unpack import holds
from bentofn.packager.home import Home
from bentofn.packager.kept.travel import FittingCompiled, keep_arrived
from bentofn.packager.sizes import human_size
from bentofn.packager.snapshot.fitting import Fitting
from bentofn.packager.store import Store
from bentofn.packager.trust.signing import requiring
from bentofn.runtime.errors import UserError


@click.command()
@click.argument("tag")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@json_option
def export(tag: str, file: Path, force: bool, as_json: bool) -> None:
    """Write a bento as one file, an OCI layout in a tar."""
    store = Store(Home.default())
    with progress() as report:
        report(f"Exporting {tag}")
        entry = export_bento(store, tag, file, force=force)
    if as_json:
        print_json(entry_document(entry) | {"file": str(file.absolute())})
        return
    click.echo(f"Wrote {entry.tag} to {file} ({human_size(file.stat().st_size)})")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@verify_key_option
@click.option(
    "--allow-pickle", "allow_pickles", multiple=True, metavar="NAME",
    help="Of a bento of BentoML, a model or a file of its code that may be a pickle.",
)  # fmt: skip
@snapshots_option
@compiled_option
@json_option
def import_(
    file: Path,
    verify_key: Path | None,
    allow_pickles: tuple[str, ...],
    snapshots: bool,
    compiled: bool,
    as_json: bool,
) -> None:
    """Add the bento of a file that `bentofn export` wrote, or build that of a BentoML export."""
    store = Store(Home.default())
    check = requiring(read_verify_key(verify_key), str(file))
    fitting = Fitting(store.home) if snapshots else None
    code = FittingCompiled() if compiled else None
    with progress() as report:
        report(f"Importing {file}")
        if holds(file, "model.yaml"):
            raise UserError(f"{file} is a model of BentoML; use `bentofn models import {file}`.")
        if holds(file, "bento.yaml"):
            if verify_key is not None:
                raise UserError(f"{file} is of BentoML, which signs nothing; leave out the key.")
            entry = build_export(store, file, allow_pickles, report)
        else:
            entry = import_bento(store, file, check, asking(fitting, code))
            if code is not None:
                keep_arrived(store.home, entry, report)
            if fitting is not None:
                keep_fitting(store.home, entry, fitting, report)
    document = fitting_document(fitting, as_json) | compiled_document(code, as_json)
    if as_json:
        print_json(entry_document(entry) | document)
        return
    click.echo(f"Imported {entry.tag} ({human_size(entry.size)})")
