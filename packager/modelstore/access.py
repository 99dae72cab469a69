"""Read models: what they are, as a directory, as layers of a bento, and exported."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bentofn.packager.files import make_directory, remove_tree, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.layers.files import check_path
from bentofn.packager.parts import ModelLayer, files_of
from bentofn.packager.roots.join import join
from bentofn.packager.roots.trees import (
    TREES_LOCK,
    free_path,
    tree_of_model,
    unpack_blob,
    unpack_tree,
)
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import (
    LAYER_KIND,
    LAYER_PATH,
    MODEL_CONFIG,
    MODEL_PATH,
    TITLE,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import canonical_json
from bentofn.runtime.modelinfo import FACTS

FILES_TITLE = "files"
"""Name of the layer that holds all of a model's files but its weights."""

MADE_HERE = "bentofn"
"""What the origin of a model that the user's own code made has as its source."""

_DETAILS = "io.bentofn.model"


@dataclass(frozen=True)
class ModelInfo:
    """What the store knows about a model.

    Args:
        name: Its name.
        version: Its version.
        labels: The user's labels.
        metadata: The user's data, as JSON can hold it.
        tensors: Path of each safetensors file to its tensors' names and digests.
        tied: Path of each converted file to its tied names, dropped to kept.
        origin: Where it is from.
        formats: Path of each file whose format is known, safetensors aside, to the format's name.
        pickles: Path of each file that is a pickle to what loading it imports.
    """

    name: str
    version: str
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tied: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)
    formats: Mapping[str, str] = field(default_factory=dict)
    pickles: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def format(self) -> str:
        """The format of its weights, or nothing."""
        return "safetensors" if self.tensors else min(self.formats.values(), default="")

    @property
    def was_made_here(self) -> bool:
        """Whether the user's own code made it, with this home as its store."""
        return self.origin.get("source") == MADE_HERE

    @property
    def facts(self) -> dict[str, Any]:
        """What a service may ask of it: labels, metadata, and what BentoML's model.yaml says."""
        said = {"labels": self.labels, "metadata": self.metadata}
        said |= {name: self.origin[name] for name in FACTS if name in self.origin}
        return {name: value for name, value in said.items() if value}


def put_config(store: Store, model: ModelInfo, digests: list[str]) -> Descriptor:
    """Store a model's config blob: ModelPack's, with our details under a key of our own.

    Source: https://github.com/modelpack/model-spec/blob/main/docs/config.md
    """
    details = {
        "labels": dict(model.labels),
        "metadata": dict(model.metadata),
        "tensors": model.tensors,
        "tied": model.tied,
        "origin": dict(model.origin),
        "formats": dict(model.formats),
        "pickles": dict(model.pickles),
    }
    config = {
        "descriptor": {"name": model.name, "version": model.version},
        "modelfs": {"type": "layers", "diffIds": digests},
        "config": {"format": model.format} if model.format else {},
        _DETAILS: details,
    }
    return store.put_bytes(canonical_json(config), MODEL_CONFIG)


def describe_model(store: Store, entry: Entry) -> ModelInfo:
    """What the store knows about a model.

    Raises:
        UserError: Its manifest or config is damaged.
    """
    details = json.loads(store.config(entry)).get(_DETAILS, {})
    return ModelInfo(entry.name, entry.version, **details)


def model_files(store: Store, entry: Entry) -> dict[str, int]:
    """A model's files: path in the model to size in bytes, sorted.

    Raises:
        UserError: Its manifest or its archive is damaged.
    """
    layers = _layers(store, entry)
    files = {
        path: sum(part.blob.size for part in parts) for path, parts in files_of(layers).items()
    }
    for layer in layers:
        if layer.blob.is_archive:
            files |= _archived_files(store, entry, layer.blob)
    return dict(sorted(files.items()))


def model_layers(store: Store, entry: Entry) -> list[Descriptor]:
    """A model's layers as a bento carries them: the same blobs, with where they go in the bento.

    Raises:
        UserError: The model's manifest is damaged.
    """
    base = f"{ARCHIVE_PREFIX}/models/{entry.name}/{entry.version}"
    return [
        replace(
            layer.blob,
            annotations={
                **layer.blob.annotations,
                TITLE: f"{entry.name}/{layer.path or FILES_TITLE}",
                LAYER_KIND: "model",
                LAYER_PATH: f"{base}/{layer.path}" if layer.path else base,
            },
        )
        for layer in _layers(store, entry)
    ]


def local_path(tag: str, home: Home | None = None) -> tuple[str, str, Path]:
    """A model of the store as a directory of links to its files; read it, never write it.

    Args:
        tag: ``name``, ``name:version`` or ``name:latest``.
        home: The home; by default the user's.

    Returns:
        Name, version, and ``<home>/models/<name>/<version>``.

    Raises:
        UserError: There is no such model, or a file of it is damaged.
    """
    home = home or Home.default()
    store = Store(home)
    entry = store.get("model", tag)
    layers = _layers(store, entry)
    with store.using(), home.lock(TREES_LOCK, shared=True):
        tree = unpack_tree(home, store, tree_of_model(layers))
        link = home.directory(home.models / entry.name) / entry.version
        target = Path("..", "..", home.unpacked.name, tree.name)
        if not link.is_symlink() or link.readlink() != target:
            with temporary_directory(link.parent) as temporary:
                (temporary / link.name).symlink_to(target)
                (temporary / link.name).replace(link)
    return entry.name, entry.version, link


def export_model(store: Store, tag: str, target: Path, *, force: bool = False) -> Entry:
    """Write a model's files as a directory.

    Args:
        store: The store.
        tag: ``name``, ``name:version`` or ``name:latest``.
        target: The directory to make.
        force: Whether to replace what stands there.

    Raises:
        UserError: There is no such model, something stands at the target, a file is damaged, or
            the target's disk is full.
    """
    entry = store.get("model", tag)
    target = target.absolute()
    if not force and (target.is_file() or (target.is_dir() and any(target.iterdir()))):
        raise UserError(f"{target} is there already; choose another directory, or use --force.")
    with temporary_directory(make_directory(target.parent)) as temporary:
        new = make_directory(temporary / "new")
        layers = _layers(store, entry)
        # Archives first, so that a file that stands twice is noticed.
        for layer in layers:
            if layer.blob.is_archive:
                unpack_blob(store, layer.blob, new, "", "import the model again")
        for path, parts in files_of(layers).items():
            join(store, parts, free_path(new, path))
        if target.exists():
            target.rename(temporary / "old")
        new.rename(target)
        remove_tree(temporary / "old")
    return entry


def _layers(store: Store, entry: Entry) -> list[ModelLayer]:
    layers = []
    for blob in store.descriptors(entry):
        path = blob.annotations.get(MODEL_PATH, "")
        if blob.is_archive:
            layers.append(ModelLayer("", blob))
            continue
        try:
            check_path(path)
        except ValueError as error:
            raise UserError(
                f"The model {entry.tag} has a file at {path!r}; import it again."
            ) from error
        layers.append(ModelLayer.of(path, blob))
    return layers


def _archived_files(store: Store, entry: Entry, blob: Descriptor) -> dict[str, int]:
    try:
        with tarfile.open(store.blob_path(blob.digest)) as archive:
            return {member.name: member.size for member in archive if member.isreg()}
    except (FileNotFoundError, tarfile.TarError) as error:
        raise UserError(
            f"The files of the model {entry.tag} ({blob.digest}) are damaged or missing in "
            f"{store.path}; import the model again to write them anew."
        ) from error
