"""Which layers of a bento are fetched whole before it starts, and which can wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bentofn.packager.layers.toc import Toc, read_toc, toc_position
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.descriptors import LAYER_KIND
from bentofn.runtime.errors import UserError

SMALL = 256 << 10
"""Bytes up to which a layer is fetched whole: finding out what it holds would cost as much."""


@dataclass(frozen=True)
class Plan:
    """The layers of a bento, by when they are needed.

    Args:
        whole: Fetched before anything starts: code, runtime, bytecode, the small files of models.
        chunked: Environment layers with a table of contents, fetched chunk by chunk.
        parts: Weights as they are, fetched blob by blob.
    """

    whole: tuple[Descriptor, ...]
    chunked: tuple[Descriptor, ...]
    parts: tuple[Descriptor, ...]


def make_plan(layers: Sequence[Descriptor]) -> Plan:
    """Sort a bento's layers.

    Raises:
        UserError: The annotations of one make no sense.
    """
    whole, chunked, parts = [], [], []
    for layer in layers:
        kind = layer.annotations.get(LAYER_KIND)
        if kind == "env" and layer.size > SMALL and toc_position(layer) is not None:
            chunked.append(layer)
        elif kind == "model" and layer.size > SMALL and not layer.is_archive:
            parts.append(layer)
        else:
            whole.append(layer)
    return Plan(tuple(whole), tuple(chunked), tuple(parts))


def stored_toc(store: Store, layer: Descriptor) -> Toc:
    """The table of contents of a chunked layer that is in the store.

    Raises:
        UserError: It is damaged or missing.
    """
    position = toc_position(layer)
    assert position is not None
    offset, length, checksum = position
    try:
        with store.blob_path(layer.digest).open("rb") as blob:
            blob.seek(offset)
            return read_toc(blob.read(length), checksum)
    except FileNotFoundError as error:
        raise UserError(f"The layer {layer.digest} is missing; pull or build it again.") from error
