"""Read models: what they are, as a directory, as layers of a bento, and exported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentofn.packager.files import make_directory, remove_tree, temporary_directory, writing
from bentofn.packager.home import Home
from bentofn.packager.layers.files import check_path
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.blobs import hash_stream
from bentofn.packager.store.descriptors import (
    LAYER_KIND,
    LAYER_PATH,
    MODEL_CONFIG,
    MODEL_PATH,
    TITLE,
)
from bentofn.packager.trees import TREES_LOCK, link_tree
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import canonical_json

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
    """

    name: str
    version: str
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    tied: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def put_config(store: Store, model: ModelInfo, digests: list[str]) -> Descriptor:
    """Store a model's config blob: ModelPack's, with our details under a key of our own.

    Source: https://github.com/modelpack/model-spec/blob/main/docs/config.md
    """
    details = {
        "labels": dict(model.labels),
        "metadata": dict(model.metadata),
        "tensors": model.tensors,
        "tied": model.tied,
    }
    config = {
        "descriptor": {"name": model.name, "version": model.version},
        "modelfs": {"type": "layers", "diffIds": digests},
        "config": {"format": "safetensors"} if model.tensors else {},
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


def model_files(store: Store, entry: Entry) -> dict[str, Descriptor]:
    """A model's files: path in the model to descriptor.

    Raises:
        UserError: Its manifest is damaged, or names a path outside the model.
    """
    files = {}
    for layer in store.descriptors(entry):
        path = layer.annotations.get(MODEL_PATH, "")
        try:
            check_path(path)
        except ValueError as error:
            raise UserError(
                f"The model {entry.tag} has a file at {path!r}; import it again."
            ) from error
        files[path] = layer
    return files


def model_layers(store: Store, entry: Entry) -> list[Descriptor]:
    """A model's files as layers of a bento: the same blobs, with where they go in the bento.

    Raises:
        UserError: The model's manifest is damaged.
    """
    base = f"{ARCHIVE_PREFIX}/models/{entry.name}/{entry.version}"
    return [
        Descriptor(
            layer.media_type,
            layer.digest,
            layer.size,
            {
                **layer.annotations,
                TITLE: f"{entry.name}/{path}",
                LAYER_KIND: "model",
                LAYER_PATH: f"{base}/{path}",
            },
        )
        for path, layer in model_files(store, entry).items()
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
    files = {path: layer.digest for path, layer in model_files(store, entry).items()}
    with store.using(), home.lock(TREES_LOCK, shared=True):
        tree = link_tree(home, store, files)
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
        for path, layer in model_files(store, entry).items():
            _copy(store, layer, make_directory((temporary / "new" / path).parent) / Path(path).name)
        if target.exists():
            target.rename(temporary / "old")
        (temporary / "new").rename(target)
        remove_tree(temporary / "old")
    return entry


def _copy(store: Store, layer: Descriptor, target: Path) -> None:
    with writing(target.parent), target.open("wb") as file:
        try:
            with store.blob_path(layer.digest).open("rb") as blob:
                digest, _ = hash_stream(blob, file)
        except FileNotFoundError:
            digest = ""
    if digest != layer.digest:
        store.blobs.remove(layer.digest)
        raise UserError(
            f"The model file {target.name!r} ({layer.digest}) is damaged or missing in "
            f"{store.path}; import the model again to write it anew."
        )
