"""Models that the user's own code makes: ``bentoml.models.create`` and what goes with it."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

from bentofn.packager.files import make_directory, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.modelsources.bentoml import MODEL_FILE
from bentofn.packager.modelsources.importing import import_source
from bentofn.packager.modelsources.project import model_of
from bentofn.packager.modelsources.wanted import find_model
from bentofn.packager.modelstore import describe_model, import_model
from bentofn.packager.modelstore import export_model as write_files
from bentofn.packager.modelstore.access import MADE_HERE
from bentofn.packager.modelstore.policy import Policy
from bentofn.packager.roots.materialise import prune
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.tags import check_part
from bentofn.runtime.errors import MissingDependencyException, NotFound, UserError
from bentofn.runtime.model import CUSTOM_OBJECTS, Model, ModelPath
from bentofn.runtime.modelinfo import ModelContext, ModelInfo, ModelOptions, ModelSignature
from bentofn.runtime.tags import Tag

_ARCHIVES = {"bentomodel": "xztar", "xz": "xztar", "gz": "gztar", "bz2": "bztar", "tar": "tar"}
"""Format to what :func:`shutil.make_archive` calls it. Source: exportable.py of BentoML 1.4."""


@contextmanager
def create(
    name: Tag | str,
    *,
    labels: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
    module: str = "",
    api_version: str = "v1",
    signatures: Mapping[str, Any] | None = None,
    options: ModelOptions | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    external_modules: Sequence[ModuleType] = (),
    context: ModelContext | None = None,
) -> Iterator[Model]:
    """Make a model: whatever is in its folder at the end of the block goes into the store.

    Args:
        name: Its name; with a version, or it gets a new one.
        labels: Labels.
        metadata: Data about it, as JSON can hold it.
        module: The module that loads it.
        api_version: The version of that module's files.
        signatures: Its methods, as :class:`ModelSignature` or plain data.
        options: What that module keeps of it.
        custom_objects: Objects that are pickled beside it.
        external_modules: Modules whose code is pickled with these objects.
        context: What it was made with.

    Yields:
        The model, its folder empty.

    Raises:
        UserError: Its name breaks a rule, it cannot be stored, or its metadata is no plain data.
    """
    given = str(name)
    check_part(given.partition(":")[0])
    tag = Tag.from_taglike(name)
    if tag.version is None:
        tag = tag.make_new_version()
    signed = {key: ModelSignature.from_dict(each) for key, each in (signatures or {}).items()}
    info = ModelInfo(
        tag,
        module,
        {key: str(label) for key, label in (labels or {}).items()},
        options or ModelOptions(),
        dict(metadata or {}),
        context or ModelContext("", {}),
        signed,
        api_version,
        datetime.now(timezone.utc),
    )
    store = Store(Home.default())
    with temporary_directory(store.home.directory(store.home.cache)) as scratch:
        folder = make_directory(scratch / tag.name)
        model = Model(info.name, info.version, ModelPath(folder), info.labels, info.metadata)
        model.facts = info.to_dict()
        yield model
        if custom_objects:
            _write_objects(folder / CUSTOM_OBJECTS, custom_objects, external_modules)
        _write_description(folder / MODEL_FILE, info)
        model.path = _stored(store, folder, info).path


def import_archive(path: str, input_format: str | None = None, **where: Any) -> Model:
    """Put a model that was exported into the store.

    Args:
        path: The file, or a folder.
        input_format: Accepted for BentoML's sake: the file says what it is.
        **where: What BentoML takes for other file systems; there is none here.

    Raises:
        UserError: It is not on this machine, or is refused.
    """
    _check_local(path, where)
    store = Store(Home.default())
    if input_format == "zip" or path.endswith(".zip"):
        raise UserError(f"{path} is a zip archive; export the model as .bentomodel or .tar.gz.")
    return model_of(store, import_source(store, path))


def export_archive(
    tag: Tag | str, path: str, output_format: str | None = None, **where: Any
) -> str:
    """Write a model to a file that BentoML and bentofn import.

    Args:
        tag: ``name:version``, ``name:latest`` or ``name``.
        path: The file; in a folder that exists it gets the model's name.
        output_format: ``bentomodel``, ``gz``, ``xz``, ``bz2``, ``tar`` or ``folder``; by default
            what the path's suffix says, else ``bentomodel``.
        **where: What BentoML takes for other file systems; there is none here.

    Returns:
        Where it was written.

    Raises:
        NotFound: There is no such model.
        UserError: The format is unknown, or the file cannot be written.
    """
    _check_local(path, where)
    store = Store(Home.default())
    entry = _found(store, tag)
    target = Path(path)
    suffix = target.suffix.removeprefix(".")
    form = output_format or (suffix if suffix in _ARCHIVES else "bentomodel")
    if form == "folder":
        _write_folder(store, entry, target)
        return str(target)
    if form not in _ARCHIVES:
        raise UserError(f"There is no format {form!r}; use {', '.join(_ARCHIVES)} or folder.")
    if target.is_dir():
        target /= f"{entry.name}-{entry.version}.{form}"
    elif form == "bentomodel" and suffix != form:
        target = target.with_name(f"{target.name}.{form}")
    with temporary_directory(make_directory(target.absolute().parent)) as scratch:
        _write_folder(store, entry, scratch / "model")
        made = shutil.make_archive(
            str(scratch / "archive"), _ARCHIVES[form], str(scratch / "model")
        )
        Path(made).replace(target)
    return str(target)


def delete(tag: Tag | str) -> None:
    """Delete a model; bentos that carry it keep what they need.

    Raises:
        NotFound: There is no such model.
    """
    store = Store(Home.default())
    try:
        store.delete("model", str(tag))
    except UserError as error:
        raise NotFound(str(error)) from error
    store.gc(minimum_age=0)
    prune(store.home)


def _found(store: Store, tag: Tag | str) -> Entry:
    try:
        return find_model(store, str(tag))
    except UserError as error:
        raise NotFound(str(error)) from error


def _stored(store: Store, folder: Path, info: ModelInfo) -> Model:
    facts = info.to_dict()
    origin = {key: facts[key] for key in facts.keys() - {"name", "version", "labels", "metadata"}}
    entry = import_model(
        store,
        folder,
        info.name,
        info.version,
        info.labels,
        facts["metadata"],
        origin={"source": MADE_HERE, **origin},
        policy=Policy(allow_pickle=True, made_here=True),
    )
    return model_of(store, entry)


def _write_description(path: Path, info: ModelInfo) -> None:
    import yaml

    try:
        path.write_text(yaml.safe_dump(info.to_dict(), sort_keys=False), encoding="utf-8")
    except yaml.YAMLError as error:
        raise UserError(
            f"The metadata of the model {info.tag} must be plain data (texts, numbers, lists and "
            f"dictionaries): {error}."
        ) from error


def _write_objects(
    path: Path, objects: Mapping[str, Any], external_modules: Sequence[ModuleType]
) -> None:
    try:
        import cloudpickle
    except ImportError as error:
        if external_modules:
            raise MissingDependencyException(
                "Pickling the code of external_modules needs cloudpickle: install cloudpickle."
            ) from error
        path.write_bytes(pickle.dumps(dict(objects)))
        return
    known = cloudpickle.list_registry_pickle_by_value()
    by_value = [module for module in external_modules if module.__name__ not in known]
    for module in by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        path.write_bytes(cloudpickle.dumps(dict(objects)))
    finally:
        for module in by_value:
            cloudpickle.unregister_pickle_by_value(module)


def _write_folder(store: Store, entry: Entry, target: Path) -> None:
    write_files(store, entry.tag, target)
    if not (target / MODEL_FILE).exists():
        known = describe_model(store, entry)
        facts = {"creation_time": entry.created.isoformat(), **known.facts}
        tag = Tag(entry.name, entry.version)
        info = ModelInfo.of(tag, known.labels, known.metadata, facts)
        _write_description(target / MODEL_FILE, info)


def _check_local(path: str, where: Mapping[str, Any]) -> None:
    if "://" in path or any(each is not None for each in where.values()):
        raise UserError(
            f"{path}: models are imported from and exported to files of this machine; use "
            "`bentofn push` and `bentofn pull` for registries."
        )
