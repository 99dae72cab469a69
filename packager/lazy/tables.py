"""Tables of contents of layers that are not here: fetched alone, and kept beside the store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.layers.toc import Toc, read_toc, toc_position
from bentofn.packager.lazy.plan import make_plan, stored_toc
from bentofn.packager.registry.ranges import fetch_range
from bentofn.packager.registry.transport import Transport
from bentofn.packager.store import Descriptor, Store


def later_layers(store: Store, layers: Sequence[Descriptor]) -> tuple[Descriptor, ...]:
    """The layers that can wait and are not in the store."""
    plan = make_plan(layers)
    return tuple(
        layer
        for layer in (*plan.chunked, *plan.parts)
        if not store.blobs.has_whole(layer.digest, layer.size)
    )


def fetch_table(transport: Transport, store: Store, layer: Descriptor) -> int:
    """Make sure of a layer's table of contents, where it has one.

    Returns:
        The bytes that were fetched.

    Raises:
        NoRanges: The registry gives whole layers only.
        UserError: The registry refuses or fails, or what it gives has another checksum.
    """
    position = toc_position(layer)
    if position is None:
        return 0
    offset, length, checksum = position
    path = _path(store.home, layer)
    if path.exists():
        return 0
    data = fetch_range(transport, layer.digest, offset, offset + length)
    read_toc(data, checksum)
    store.home.directory(path.parent)
    atomic_write(path, data)
    return length


def table_of(transport: Transport, store: Store, layer: Descriptor) -> Toc:
    """The table of contents of a chunked layer: the store's, the kept one, or fetched now.

    Raises:
        UserError: As :func:`fetch_table`.
    """
    if store.has(layer.digest):
        return stored_toc(store, layer)
    fetch_table(transport, store, layer)
    position = toc_position(layer)
    assert position is not None
    path = _path(store.home, layer)
    data = path.read_bytes()
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != position[2]:
        path.unlink(missing_ok=True)  # the disk lost it: the next attempt fetches it again
    return read_toc(data, position[2])


def _path(home: Home, layer: Descriptor) -> Path:
    return home.cache / "lazy" / "tables" / layer.digest.removeprefix("sha256:")
