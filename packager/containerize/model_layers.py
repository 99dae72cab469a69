"""Models as layers of an image: a tar of one file each, so that a runtime can unpack it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence

from bentofn.packager.containerize.blob import Blob, Chunks, Layer, file_blob
from bentofn.packager.containerize.media import TAR
from bentofn.packager.containerize.tarball import END, file_header, folders_above, padding
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.layer_cache import cached_layer, layer_key
from bentofn.packager.layers import collect_tree, put_layer
from bentofn.packager.parts import files_of, models_of
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.descriptors import LAYER_DIFF_ID
from bentofn.packager.trees import unpack_blob
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import canonical_json

TAR_RULES = 1
"""Raised when the same file would make another layer."""

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
    for folder, model in sorted(models_of(layers).items()):
        base = f"{ARCHIVE_PREFIX}/{folder}"
        for layer in model:
            if layer.blob.is_archive:
                yield _archive_layer(home, store, layer.blob, base)
        for path, parts in files_of(model).items():
            yield _file_layer(home, store, f"{base}/{path}", [part.blob for part in parts])


def _file_layer(home: Home, store: Store, path: str, parts: Sequence[Descriptor]) -> Layer:
    size = sum(part.size for part in parts)
    blobs = [
        file_blob(store.blob_path(part.digest), part, f"The model file {path}", _REMEDY)
        for part in parts
    ]

    def chunks() -> Iterator[bytes]:
        yield folders_above(path) + file_header(path, size)
        for blob in blobs:
            yield from blob.chunks()
        yield padding(size) + END

    key = layer_key("model-tar", TAR_RULES, path, [part.digest for part in parts])
    descriptor = _digest_once(home, key, chunks)
    return Layer(Blob(descriptor, chunks), descriptor.digest, f"model {path}")


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
