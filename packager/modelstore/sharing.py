"""How much of a model other models of the store hold as well, so that it is stored once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bentofn.packager.store import Entry, Store


def shared_bytes(store: Store, models: Sequence[Entry]) -> list[int]:
    """Bytes of each model that others of these models hold too.

    Args:
        store: The store.
        models: The models to compare.

    Raises:
        UserError: A manifest is damaged.
    """
    layers = [{blob.digest: blob.size for blob in store.descriptors(model)} for model in models]
    holders = Counter(digest for blobs in layers for digest in blobs)
    return [sum(size for digest, size in blobs.items() if holders[digest] > 1) for blobs in layers]
