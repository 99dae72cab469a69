"""Build a bento of BentoML: its models into the store, its project into a bento."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bentofn.packager.bentoml.bento import adopt, is_bento
from bentofn.packager.bentoml.unpack import unpack
from bentofn.packager.build import build
from bentofn.packager.build_inputs import BuildOptions
from bentofn.packager.files import make_directory, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.modelsources.importing import import_source
from bentofn.packager.modelsources.source import Report
from bentofn.packager.modelstore.policy import Policy
from bentofn.packager.store import Entry, Store
from bentofn.runtime.errors import UserError


@contextmanager
def as_project(
    bento: Path, home: Home, options: BuildOptions, report: Report
) -> Iterator[tuple[Path, BuildOptions]]:
    """A project made of a bento, with its models in the store, for as long as it is built.

    Args:
        bento: A bento's folder, or what ``bentoml export`` wrote.
        home: The home.
        options: What the command line says; a model that is among the allowed pickles by its name
            may be one.
        report: Told what takes time and what is not taken over.

    Yields:
        The project's folder, and the options with the bento's name and version.

    Raises:
        UserError: It is no bento, or a model of it is missing or refused.
    """
    store = Store(home)
    with temporary_directory(home.directory(home.cache)) as scratch:
        folder = bento if bento.is_dir() else unpack(bento, make_directory(scratch / "bento"))
        if not is_bento(folder):
            raise UserError(f"{bento} is no bento of BentoML: it has no bento.yaml and src.")
        adopted = adopt(folder, scratch / "project")
        for note in adopted.notes:
            report(note)
        for model in adopted.models:
            model_name = model.parent.name
            policy = Policy(
                allow_pickle=model_name in options.allow_pickles,
                pickle_option=f"--allow-pickle {model_name}",
            )
            try:
                import_source(store, str(model), policy=policy, report=report)
            except UserError as error:
                # What was unpacked is gone when the user reads this.
                raise UserError(str(error).replace(str(folder), str(bento))) from error
        name, version = options.name or adopted.name, options.version or adopted.version
        # The bento says what was locked, and need not carry the files that its code names.
        yield adopted.project, replace(options, name=name, version=version, reads_image=False)


def build_export(store: Store, bento: Path, allow_pickles: Sequence[str], report: Report) -> Entry:
    """Build what ``bentoml export`` wrote.

    Args:
        store: The store.
        bento: The file.
        allow_pickles: Names of models, and files of the code, that may be pickles.
        report: As :func:`as_project`.

    Raises:
        UserError: As :func:`as_project`, or it cannot be built.
    """
    said = BuildOptions(allow_pickles=tuple(allow_pickles))
    with as_project(bento, store.home, said, report) as (project, options):
        result = build(project, store.home, options, report)
    for warning in result.warnings:
        report(f"Warning: {warning}")
    return store.get("bento", result.tag)
