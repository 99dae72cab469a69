"""Import models: safetensors as they are, torch checkpoints converted, pickles refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import Any

from bentofn.packager.files import temporary_directory
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.modelstore.access import FILES_TITLE, ModelInfo, put_config
from bentofn.packager.modelstore.convert import INDEX_SUFFIX, convert_checkpoint
from bentofn.packager.modelstore.policy import ANYTHING_SAFE, Policy
from bentofn.packager.modelstore.safetensors_file import tensor_digests
from bentofn.packager.modelstore.scan import Found, scan, shard_names
from bentofn.packager.modelstore.weights import Weights, put_weights
from bentofn.packager.store import Descriptor, Entry, Store, check_part
from bentofn.packager.store.descriptors import (
    MODEL_ARTIFACT,
    MODEL_FILES,
    MODEL_PATH,
    MODEL_WEIGHT,
    TITLE,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json
from bentofn.runtime.weights.header import read_header


@dataclass
class _Model:
    """A model on its way into the store: stored weights, and the other files or their content."""

    weights: dict[str, Weights] = field(default_factory=dict)
    raw: dict[str, Descriptor] = field(default_factory=dict)
    files: dict[str, Path | bytes] = field(default_factory=dict)
    tied: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def tensors(self) -> dict[str, Mapping[str, str]]:
        return {path: weights.tensors for path, weights in self.weights.items()}

    def check_free(self, path: str) -> None:
        if path in self.weights or path in self.raw or path in self.files:
            raise UserError(
                f"The model already has a file {path} beside the one that would be converted to "
                "it, and they differ; leave one of them out."
            )


def import_model(
    store: Store,
    source: Path | Mapping[str, Path],
    name: str,
    version: str | None = None,
    labels: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    *,
    origin: Mapping[str, Any] | None = None,
    policy: Policy = ANYTHING_SAFE,
    report: Callable[[str], None] = lambda _: None,
) -> Entry:
    """Put a model into the store; importing the same again changes nothing.

    Args:
        store: The store.
        source: A directory, a ``.safetensors`` file, a torch checkpoint, or path in the model to
            file.
        name: The model's name.
        version: Its version; by default the first 12 hex digits of its content's digest.
        labels: The user's labels.
        metadata: The user's data, as JSON can hold it.
        origin: Where exactly it is from, as JSON can hold it.
        policy: What the files may hold.
        report: Called with what was converted or dropped.

    Raises:
        UserError: The name is not valid, the source cannot be read, a file holds a pickle that is
            not plain tensors, or the disk is full.
    """
    name = check_part(name)
    version = None if version is None else check_part(version, "version")
    found = scan(source, policy)
    _tell_found(found, report)
    shards = _shards(found)
    model = _Model()
    total = _tensor_bytes(found)
    with store.using(), temporary_directory(store.home.directory(store.home.cache)) as scratch:
        for file in found:
            if file.role == "weights":
                model.check_free(file.path)
                model.weights[file.path] = put_weights(store, file.path, file.source, total)
            elif file.role == "file" and file.raw:
                model.raw[file.path] = _put_raw(store, file)
            elif file.role == "file":
                model.files[file.path] = file.source
        for file in found:
            if file.role == "checkpoint" and file.source not in shards:
                _put_checkpoint(store, model, file, scratch, total, report)
        _tell_held(model, report)
        info = ModelInfo(
            name,
            version or "",
            labels or {},
            metadata or {},
            origin=origin or {},
            formats={file.path: file.format for file in found if file.format},
            pickles={file.path: file.pickles for file in found if file.pickles},
        )
        return _add(store, model, info)


def _tell_found(found: Sequence[Found], report: Callable[[str], None]) -> None:
    for file in found:
        for note in file.notes:
            report(note)


def _put_raw(store: Store, file: Found) -> Descriptor:
    blob = store.put_file(file.source, MODEL_WEIGHT)
    return replace(blob, annotations={TITLE: file.path, MODEL_PATH: file.path})


def _tensor_bytes(found: Sequence[Found]) -> int:
    """Bytes of a model's tensors; where only checkpoints hold them, which are yet to be read, of
    their files. The checkpoints beside safetensors files are mostly the same weights again."""
    weights = [read_header(file.source) for file in found if file.role == "weights"]
    if weights:
        return sum(header.data_size for header in weights)
    return sum(file.source.stat().st_size for file in found if file.role == "checkpoint")


def _tell_held(model: _Model, report: Callable[[str], None]) -> None:
    size = sum(weights.size for weights in model.weights.values())
    held = sum(weights.held for weights in model.weights.values())
    if held:
        report(f"{held / size:.0%} of the weights were in the store already.")


def _put_checkpoint(
    store: Store,
    model: _Model,
    file: Found,
    scratch: Path,
    total: int,
    report: Callable[[str], None],
) -> None:
    folder = PurePosixPath(file.path).parent
    with temporary_directory(scratch) as here:
        conversion = convert_checkpoint(file.source, here / _converted_name(file.path))
        weights = [path for path in conversion.files if path.suffix == ".safetensors"]
        tensors = {name: d for path in weights for name, d in tensor_digests(path).items()}
        if twins := _same_weights(model, folder, tensors):
            report(f"Dropped {file.path}: {twins} holds the same weights as safetensors.")
            return
        if conversion.ignored:
            report(f"Left out of {file.path}: {', '.join(conversion.ignored)}.")
        for written in conversion.files:
            path = str(folder / written.name)
            report(f"Converted {file.path} to {path}.")
            model.check_free(path)
            if written in weights:
                model.weights[path] = put_weights(store, path, written, total)
            else:
                model.files[path] = written.read_bytes()
        if conversion.tied:
            model.tied[str(folder / conversion.files[-1].name)] = dict(conversion.tied)


def _same_weights(model: _Model, folder: PurePosixPath, tensors: Mapping[str, str]) -> str:
    """The safetensors files in a folder that hold all of some tensors, or nothing."""
    beside = [path for path in model.tensors if PurePosixPath(path).parent == folder]
    held = {name: digest for path in beside for name, digest in model.tensors[path].items()}
    # Of tied tensors the two files may have kept different names.
    contents = set(held.values())
    same = all(held.get(name, d) == d and d in contents for name, d in tensors.items())
    return ", ".join(beside) if same else ""


def _shards(found: Sequence[Found]) -> set[Path]:
    """The checkpoints that an index names, and that are converted with it."""
    shards: set[Path] = set()
    for file in found:
        if file.role == "checkpoint" and file.path.endswith(INDEX_SUFFIX):
            shards.update(file.source.parent / name for name in shard_names(file.source))
    return shards


def _converted_name(path: str) -> str:
    """``pytorch_model*`` becomes ``model*``, which is how transformers calls safetensors.

    Source: rename() of https://github.com/huggingface/safetensors, bindings/python/convert.py.
    """
    name = PurePosixPath(path).name.removeprefix("pytorch_")
    if name.endswith(INDEX_SUFFIX):
        return f"{PurePosixPath(name.removesuffix(INDEX_SUFFIX)).stem}.safetensors{INDEX_SUFFIX}"
    return f"{PurePosixPath(name).stem}.safetensors"


def _put_files(store: Store, files: Mapping[str, Path | bytes]) -> Descriptor:
    entries = [LayerFile(path, source) for path, source in files.items()]
    archive = put_layer(store, entries, kind="model", title=FILES_TITLE, compression="none")
    return replace(archive, media_type=MODEL_FILES, annotations={TITLE: FILES_TITLE})


def _add(store: Store, model: _Model, info: ModelInfo) -> Entry:
    blobs = {path: weights.layers for path, weights in model.weights.items()}
    blobs |= {path: (blob,) for path, blob in model.raw.items()}
    layers = [layer for _, parts in sorted(blobs.items()) for layer in parts]
    if model.files:
        layers.append(_put_files(store, model.files))
    if not layers:
        raise UserError(f"Nothing of the model {info.name} is left to store.")
    content = [[layer.annotations.get(MODEL_PATH, ""), layer.digest] for layer in layers]
    version = info.version or hashlib.sha256(canonical_json(content)).hexdigest()[:12]
    info = replace(info, version=version, tensors=model.tensors, tied=model.tied)
    config = put_config(store, info, [layer.digest for layer in layers])
    manifest = store.put_manifest(MODEL_ARTIFACT, config, layers)
    return store.add("model", info.name, version, manifest, datetime.now(timezone.utc))
