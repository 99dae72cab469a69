"""Parts: a large file of a model as several blobs, so that models share what they have in common.

A safetensors file is its header, then runs of whole tensors of the same block of the network, in
the order of the file; a tensor larger than a part is cut. Concatenated, the parts are the file.
Where a cut falls depends on the header and the size of the model only, so that two trainings of one
network are cut alike, and a tensor that stayed the same is a blob that is there already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bentofn.packager.layers.files import check_path
from bentofn.packager.store.descriptors import (
    LAYER_KIND,
    LAYER_PATH,
    PART_OFFSET,
    PART_SIZE,
    Descriptor,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX

if TYPE_CHECKING:  # the model store imports this module
    from bentofn.runtime.weights.header import SafetensorsHeader, TensorInfo

LEAST_SIZE = 4 << 20
"""Bytes that a part of a small model holds at most; a file that is no larger is not cut."""

MOST_PARTS = 512
"""Parts of this size that a model may have before they grow: a manifest must stay below the 4 MiB
that registries take."""

_DIGITS = 19
"""An offset has fewer digits: what has more fits into no file."""

_WORTHWHILE = 4
"""A part ends with its block if it is at least one of so many parts of the size allowed: smaller
ones cost a request each and save little."""


@dataclass(frozen=True)
class Part:
    """A run of bytes of a file.

    Args:
        offset: Of its first byte, from the start of the file.
        size: Bytes.
    """

    offset: int
    size: int


@dataclass(frozen=True)
class ModelLayer:
    """A layer of a model, and where it goes.

    Args:
        path: The file's path in the model; empty for an archive, whose entries are files.
        blob: The layer.
        offset: Where the blob's bytes stand in the file.
    """

    path: str
    blob: Descriptor
    offset: int = 0

    @classmethod
    def of(cls, path: str, blob: Descriptor) -> ModelLayer:
        """A layer of a manifest.

        Raises:
            UserError: Its offset is no number.
        """
        offset = blob.annotations.get(PART_OFFSET, "0")
        if not (offset.isascii() and offset.isdecimal() and len(offset) < _DIGITS):
            raise UserError(f"The model file {path!r} has a part at {offset!r}; import it again.")
        return cls(path, blob, int(offset))


def part_size(total: int) -> int:
    """Bytes that a part holds at most: a power of two, so that models of like size are cut alike.

    Args:
        total: Bytes of all tensors of the model.
    """
    size = LEAST_SIZE
    while total > size * MOST_PARTS:
        size *= 2
    return size


def split(source: Path, total: int | None = None) -> list[Part]:
    """Where a safetensors file is cut, as it will be stored: with the header that we write.

    Args:
        source: The file.
        total: Bytes of all tensors of its model; by default those of the file.

    Raises:
        UserError: It is no safetensors file or cannot be read.
    """
    from bentofn.runtime.weights.header import read_header

    header = read_header(source)
    return cut(header, part_size(header.data_size if total is None else total))


def cut(header: SafetensorsHeader, size: int) -> list[Part]:
    """The parts of the file that is stored for one with these tensors and metadata.

    Args:
        header: What the file holds.
        size: Bytes that a part holds at most; the first, the header, may be larger.
    """
    from bentofn.packager.modelstore.safetensors_file import encode_header

    start = len(encode_header(header.tensors, header.metadata))
    if start + header.data_size <= LEAST_SIZE:
        return [Part(0, start + header.data_size)]
    runs = [Part(start + offset, length) for offset, length in _runs(header.tensors, size)]
    return [Part(0, start), *runs]


def files_of(layers: Sequence[ModelLayer]) -> dict[str, list[ModelLayer]]:
    """The files that layers hold as they are (archives are left out), each as its parts in order.

    Raises:
        UserError: The parts of a file leave a gap, overlap or are not all there.
    """
    files: dict[str, list[ModelLayer]] = {}
    for layer in layers:
        if not layer.blob.is_archive:
            files.setdefault(layer.path, []).append(layer)
    for path, parts in files.items():
        parts.sort(key=lambda part: part.offset)
        _check_whole(path, parts)
    return dict(sorted(files.items()))


def models_of(layers: Sequence[Descriptor]) -> dict[str, list[ModelLayer]]:
    """The layers of each model of a bento, by ``models/<name>/<version>``.

    Raises:
        UserError: A model's layer has no proper path.
    """
    models: dict[str, list[ModelLayer]] = {}
    base = check_path(f"{ARCHIVE_PREFIX}/models")
    for layer in layers:
        if layer.annotations.get(LAYER_KIND) != "model":
            continue
        path = layer.annotations.get(LAYER_PATH, "")
        try:
            parts = check_path(path)
        except ValueError:
            parts = ()
        model, inside = parts[len(base) :][:2], parts[len(base) + 2 :]
        if parts[: len(base)] != base or len(model) < 2 or layer.is_archive == bool(inside):
            raise UserError(f"This bento has a model layer for {path!r}; build it again.")
        found = models.setdefault("/".join(("models", *model)), [])
        found.append(ModelLayer.of("/".join(inside), layer))
    return models


def _runs(tensors: Mapping[str, TensorInfo], size: int) -> Iterator[tuple[int, int]]:
    """Offset in the data and length of each run."""
    start = stop = 0
    block = ""
    for name, info in tensors.items():
        ends = _block(name) != block and stop - start >= size // _WORTHWHILE
        if stop > start and (ends or info.stop - start > size):
            yield start, stop - start
            start = stop
        block, stop = _block(name), info.stop
        while stop - start > size:
            yield start, size
            start += size
    if stop > start:
        yield start, stop - start


def _block(name: str) -> str:
    """The block of the network that a tensor is in: ``encoder.layer.3`` of
    ``encoder.layer.3.output.dense.weight``."""
    names = name.split(".")
    number = next((i for i, component in enumerate(names) if component.isdecimal()), 0)
    return ".".join(names[: number + 1])


def _check_whole(path: str, parts: Sequence[ModelLayer]) -> None:
    offset = 0
    for part in parts:
        if part.offset != offset or (part.blob.size == 0 and len(parts) > 1):
            raise UserError(
                f"The parts of the model file {path!r} do not follow one another; import it again."
            )
        offset += part.blob.size
    if any(part.blob.annotations.get(PART_SIZE, str(offset)) != str(offset) for part in parts):
        raise UserError(f"The model file {path!r} has not all of its parts; import it again.")
