"""Models as layers of an image: a tar of one file each, so that a runtime can unpack it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bentofn.packager.containerize.blob import Blob, Chunks, Layer, file_blob
from bentofn.packager.containerize.media import TAR
from bentofn.packager.containerize.tarball import (
    END,
    above,
    file_header,
    folder,
    padding,
)
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import cached_layer, layer_key
from bentofn.packager.layers import collect_tree, put_layer
from bentofn.packager.parts import files_of, models_of
from bentofn.packager.roots.trees import unpack_blob
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.descriptors import LAYER_DIFF_ID
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import canonical_json

TAR_RULES = 1
"""Raised when the same file would make another layer."""

MOST_LAYERS = 64
"""Layers of model files; those of models with more files hold several. Runtimes take 127 in all."""

_REMEDY = "build or pull the bento again"


def model_layers(home: Home, store: Store, layers: Sequence[Descriptor]) -> Iterator[Layer]:
    """The layers of an image that carry a bento's models; weights are not written anywhere.

    Args:
        home: Where digests are remembered.
        store: Holds the models.
        layers: The bento's layers.

    Raises:
        UserError: A model is damaged, or its parts do not make a file.
    """
    files: list[ModelFile] = []
    for where, model in sorted(models_of(layers).items()):
        base = f"{ARCHIVE_PREFIX}/{where}"
        for layer in model:
            if layer.blob.is_archive:
                yield _archive_layer(home, store, layer.blob, base)
        for path, parts in files_of(model).items():
            files.append(ModelFile(f"{base}/{path}", tuple(part.blob for part in parts)))
    together = -(-len(files) // MOST_LAYERS)
    for start in range(0, len(files), together or 1):
        yield _files_layer(home, store, files[start : start + together])


@dataclass(frozen=True)
class ModelFile:
    """A file of a model.

    Args:
        path: Where it stands in the image.
        parts: Its parts, in order.
    """

    path: str
    parts: tuple[Descriptor, ...]

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(part.size for part in self.parts)


def _files_layer(home: Home, store: Store, files: Sequence[ModelFile]) -> Layer:
    def chunks() -> Iterator[bytes]:
        folders: set[str] = set()
        for file in files:
            yield from (folder(path) for path in above(file.path) if path not in folders)
            folders.update(above(file.path))
            yield file_header(file.path, file.size)
            for part in file.parts:
                source = f"The model file {file.path}"
                yield from file_blob(store.blob_path(part.digest), part, source, _REMEDY).chunks()
            yield padding(file.size)
        yield END

    inputs = [[file.path, [part.digest for part in file.parts]] for file in files]
    descriptor = _digest_once(home, layer_key("model-tar", TAR_RULES, inputs), chunks)
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return Layer(Blob(descriptor, chunks), descriptor.digest, f"model {files[0].path}{more}")


def _digest_once(home: Home, key: str, chunks: Chunks) -> Descriptor:
    """What the archive of a file is; hashing it takes as long as reading it."""
    path = home.cache / "model-tars" / f"{key}.json"
    try:
        return Descriptor.from_json(json.loads(path.read_bytes()))
    except (FileNotFoundError, ValueError, UserError):
        hashed, size = hashlib.sha256(), 0
        for chunk in chunks():
            hashed.update(chunk)
            size += len(chunk)
    descriptor = Descriptor(TAR, f"sha256:{hashed.hexdigest()}", size)
    home.directory(path.parent)
    atomic_write(path, canonical_json(descriptor.to_json()))
    return descriptor


def _archive_layer(home: Home, store: Store, layer: Descriptor, path: str) -> Layer:
    """A model's small files, moved to where they stand in the bento."""

    def write() -> Descriptor:
        with temporary_directory(home.directory(home.cache)) as scratch:
            unpack_blob(store, layer, scratch, "", _REMEDY)
            entries = collect_tree(scratch, path)
            return put_layer(store, entries, kind="model", title=f"files of {path}")

    written = cached_layer(home, store, layer_key("model-files", path, layer.digest), write)
    blob = file_blob(store.blob_path(written.digest), written, f"The model {path}", _REMEDY)
    return Layer(blob, written.annotations[LAYER_DIFF_ID], f"model files {path}")
