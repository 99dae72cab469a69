"""Import models: safetensors as they are, torch checkpoints converted, pickles refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from bentofn.packager.files import temporary_directory
from bentofn.packager.modelstore.access import ModelInfo, put_config
from bentofn.packager.modelstore.align import align, is_aligned
from bentofn.packager.modelstore.convert import convert_checkpoint
from bentofn.packager.modelstore.safetensors_file import tensor_digests
from bentofn.packager.modelstore.scan import Found, scan
from bentofn.packager.store import Descriptor, Entry, Store, check_part
from bentofn.packager.store.descriptors import (
    MODEL_ARTIFACT,
    MODEL_FILE,
    MODEL_PATH,
    MODEL_WEIGHT,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

_INDEX_SUFFIX = ".bin.index.json"


@dataclass
class _Model:
    """A model on its way into the store."""

    layers: dict[str, Descriptor] = field(default_factory=dict)
    tensors: dict[str, dict[str, str]] = field(default_factory=dict)
    tied: dict[str, dict[str, str]] = field(default_factory=dict)


def import_model(
    store: Store,
    source: Path,
    name: str,
    version: str | None = None,
    labels: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    *,
    report: Callable[[str], None] = lambda _: None,
) -> Entry:
    """Put a model into the store; importing the same again changes nothing.

    Args:
        store: The store.
        source: A directory, a ``.safetensors`` file or a torch checkpoint.
        name: The model's name.
        version: Its version; by default the first 12 hex digits of its content's digest.
        labels: The user's labels.
        metadata: The user's data, as JSON can hold it.
        report: Called with what was converted or dropped.

    Raises:
        UserError: The name is not valid, the source cannot be read, a file holds a pickle that is
            not plain tensors, or the disk is full.
    """
    name = check_part(name)
    version = None if version is None else check_part(version, "version")
    found = scan(source)
    with store.using(), temporary_directory(store.home.directory(store.home.cache)) as scratch:
        model = _Model()
        _put_weights(store, model, found, scratch)
        converted = _convert(store, model, found, scratch, report)
        _put_files(store, model, found, converted)
        return _add(store, model, name, version, labels or {}, metadata or {})


def _put_weights(store: Store, model: _Model, found: Sequence[Found], scratch: Path) -> None:
    for file in found:
        if file.role == "weights":
            _put_safetensors(store, model, file.path, file.source, scratch, move=False)


def _put_safetensors(
    store: Store, model: _Model, path: str, source: Path, scratch: Path, *, move: bool
) -> None:
    model.tensors[path] = tensor_digests(source)
    if not is_aligned(source):
        aligned = scratch / "aligned"
        align(source, aligned)
        source, move = aligned, True
    model.layers[path] = _layer(store.put_file(source, MODEL_WEIGHT, move=move), path)


def _convert(
    store: Store,
    model: _Model,
    found: Sequence[Found],
    scratch: Path,
    report: Callable[[str], None],
) -> dict[str, str | None]:
    """Convert the checkpoints; returns their paths to their new paths, None for the dropped."""
    converted: dict[str, str | None] = {}
    for file in found:
        if file.role != "checkpoint":
            continue
        target = scratch / "converted.safetensors"
        conversion = convert_checkpoint(file.source, target)
        twin = _same_weights(file.path, tensor_digests(target), found, model)
        if twin is not None:
            report(f"Dropped {file.path}: {twin} holds the same weights as safetensors.")
            converted[file.path] = None
            target.unlink()
            continue
        path = _new_path(file.path)
        if path in model.layers:
            raise UserError(
                f"{file.source} and {path} hold different weights under one name; "
                "leave one of them out."
            )
        report(f"Converted {file.path} to {path}.")
        converted[file.path] = path
        _put_safetensors(store, model, path, target, scratch, move=True)
        if conversion.tied:
            model.tied[path] = dict(conversion.tied)
    return converted


def _same_weights(
    path: str, tensors: Mapping[str, str], found: Sequence[Found], model: _Model
) -> str | None:
    """The safetensors file, or files, beside a checkpoint that hold all of its tensors."""
    folder = PurePosixPath(path).parent
    beside = [
        file.path
        for file in found
        if file.role == "weights" and PurePosixPath(file.path).parent == folder
    ]
    held = {name: digest for file in beside for name, digest in model.tensors[file].items()}
    # Of tied tensors the two files may have kept different names.
    contents = set(held.values())
    if beside and all(held.get(n, d) == d and d in contents for n, d in tensors.items()):
        return ", ".join(beside)
    return None


def _put_files(
    store: Store, model: _Model, found: Sequence[Found], converted: Mapping[str, str | None]
) -> None:
    for file in found:
        if file.role != "file":
            continue
        path, content = file.path, None
        if path.endswith(_INDEX_SUFFIX):
            index = _shard_index(file, converted, model)
            if index is not None:
                path, content = index
        if path is None:
            continue
        if path in model.layers:
            raise UserError(f"The model has {path} already; leave {file.source} out.")
        stored = (
            store.put_file(file.source, MODEL_FILE)
            if content is None
            else store.put_bytes(content, MODEL_FILE)
        )
        model.layers[path] = _layer(stored, path)


def _shard_index(
    file: Found, converted: Mapping[str, str | None], model: _Model
) -> tuple[str | None, bytes | None] | None:
    """The index of converted shards under its new name, (None, None) if they were dropped.

    Returns None when the file is no index of shards that were converted.
    """
    folder = PurePosixPath(file.path).parent
    try:
        index = json.loads(file.source.read_bytes())
        weights = {tensor: str(folder / shard) for tensor, shard in index["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not all(shard in converted for shard in weights.values()):
        return None
    moved = {tensor: converted[shard] for tensor, shard in weights.items()}
    index["weight_map"] = {
        tensor: PurePosixPath(shard).name
        for tensor, shard in moved.items()
        if shard is not None and tensor in model.tensors[shard]
    }
    if not index["weight_map"]:
        return None, None
    path = _renamed(file.path.removesuffix(_INDEX_SUFFIX)) + ".safetensors.index.json"
    return path, json.dumps(index, indent=2, sort_keys=True).encode()


def _new_path(path: str) -> str:
    return str(PurePosixPath(_renamed(path)).with_suffix(".safetensors"))


def _renamed(path: str) -> str:
    """``pytorch_model*`` as ``model*``, which is how transformers calls safetensors.

    Source: rename() of https://github.com/huggingface/safetensors, bindings/python/convert.py.
    """
    pure = PurePosixPath(path)
    if not pure.name.startswith("pytorch_model"):
        return path
    return str(pure.with_name(pure.name.removeprefix("pytorch_")))


def _layer(stored: Descriptor, path: str) -> Descriptor:
    return Descriptor(stored.media_type, stored.digest, stored.size, {MODEL_PATH: path})


def _add(
    store: Store,
    model: _Model,
    name: str,
    version: str | None,
    labels: Mapping[str, str],
    metadata: Mapping[str, Any],
) -> Entry:
    layers = [layer for _, layer in sorted(model.layers.items())]
    if not layers:
        raise UserError(f"Nothing of the model {name} is left to store.")
    content = [[layer.annotations[MODEL_PATH], layer.digest] for layer in layers]
    version = version or hashlib.sha256(canonical_json(content)).hexdigest()[:12]
    info = ModelInfo(name, version, labels, metadata, model.tensors, model.tied)
    config = put_config(store, info, [layer.digest for layer in layers])
    manifest = store.put_manifest(MODEL_ARTIFACT, config, layers)
    return store.add("model", name, version, manifest, datetime.now(timezone.utc))
