"""Layers that were written before, found again by what they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.packager.store import Descriptor, Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

LAYER_RULES = 3
"""Raised when the same files would make another layer."""


def layer_key(*inputs: object) -> str:
    """Digest of what a layer is made from and of the rules, in hex."""
    return hashlib.sha256(canonical_json([LAYER_RULES, *inputs])).hexdigest()


def cached_layer(home: Home, store: Store, key: str, make: Callable[[], Descriptor]) -> Descriptor:
    """Give the layer of a key, and make it if it is not in the store.

    Args:
        home: Where descriptors are cached.
        store: The store that holds the layers.
        key: From :func:`layer_key`.
        make: Writes the layer into the store.
    """
    found = find_layer(home, store, key)
    if found is not None:
        return found
    layer = make()
    path = _path(home, key)
    home.directory(path.parent)
    atomic_write(path, canonical_json(layer.to_json()))
    return layer


def find_layer(home: Home, store: Store, key: str) -> Descriptor | None:
    """The layer that was made from a key's inputs, if the store still has it."""
    try:
        layer = Descriptor.from_json(json.loads(_path(home, key).read_bytes()))
    except (FileNotFoundError, ValueError, UserError):
        return None
    return layer if store.has(layer.digest) else None


def _path(home: Home, key: str) -> Path:
    return home.cache / "layers" / f"{key}.json"
