"""Put safetensors files into the store: with a header of fixed bytes, in parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.modelstore.safetensors_file import encode_header, tensor_digests
from bentofn.packager.parts import Part, cut, part_size
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.blobs import digest_of, open_source
from bentofn.packager.store.descriptors import (
    MODEL_PATH,
    MODEL_WEIGHT,
    PART_OFFSET,
    PART_SIZE,
    TITLE,
)
from bentofn.runtime.weights.header import read_header


@dataclass(frozen=True)
class Weights:
    """A safetensors file of the store.

    Args:
        layers: Its parts, in order.
        tensors: Its tensors' names and digests.
        held: Bytes of it that the store had already.
    """

    layers: tuple[Descriptor, ...]
    tensors: Mapping[str, str]
    held: int

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return sum(layer.size for layer in self.layers)


def put_weights(store: Store, path: str, source: Path, total: int) -> Weights:
    """Store a safetensors file, of which never more than a small part is in memory.

    The header is written anew, its keys in one order and padded to a page, since writers order it
    as they please; the tensors' bytes are not touched.

    Args:
        store: The store.
        path: Its path in the model.
        source: The file.
        total: Bytes of all tensors of the model, which decide how large a part is.

    Raises:
        UserError: It is no safetensors file, it cannot be read, or the disk is full.
    """
    header = read_header(source)
    encoded = encode_header(header.tensors, header.metadata)
    parts = cut(header, part_size(max(total, header.data_size)))
    moved = header.data_start - len(encoded)
    layers, held = [], 0
    for part in parts:
        if part.offset == 0:  # the header, and in a small file all that follows it
            data = _read(source, header.data_start, part.size - len(encoded))
            digest, found = _put_start(store, encoded + data)
        else:
            digest, found = store.blobs.put_range(source, part.offset + moved, part.size)
        layers.append(Descriptor(MODEL_WEIGHT, digest, part.size, _annotations(path, part, parts)))
        held += part.size if found else 0
    return Weights(tuple(layers), tensor_digests(source), held)


def _read(source: Path, offset: int, size: int) -> bytes:
    with open_source(source) as file:
        file.seek(offset)
        return file.read(size)


def _put_start(store: Store, data: bytes) -> tuple[str, bool]:
    found = store.blobs.has_whole(digest_of(data), len(data))
    return store.blobs.put_bytes(data), found


def _annotations(path: str, part: Part, parts: Sequence[Part]) -> dict[str, str]:
    names = {TITLE: path, MODEL_PATH: path}
    if len(parts) == 1:
        return names
    whole = parts[-1].offset + parts[-1].size
    return {**names, PART_OFFSET: str(part.offset), PART_SIZE: str(whole)}
