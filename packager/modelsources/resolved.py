"""Which model of the store stands for a source, so that a build asks the hub only once.

As with versions of packages, a branch stays at the commit that it was first seen at, until the
user asks for the newest.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from bentofn.packager.files import atomic_write
from bentofn.packager.store import Entry, Store
from bentofn.runtime.manifest import canonical_json
from bentofn.runtime.models import HUB_PREFIX


def remember(store: Store, source: str, entry: Entry) -> None:
    """Note that a source led to a model; only sources that are asked over a network are noted."""
    if source.startswith(HUB_PREFIX):
        path = _record(store, source)
        store.home.directory(path.parent)
        atomic_write(path, canonical_json({"tag": entry.tag, "digest": entry.digest}))


def recall(store: Store, source: str) -> Entry | None:
    """The model that a source led to, if the store still has it as it was."""
    try:
        record = json.loads(_record(store, source).read_bytes())
        entry = store.find("model", record["tag"])
        return entry if entry is not None and entry.digest == record["digest"] else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def find(store: Store, wanted: str) -> Entry | None:
    """The model of the store that a tag or a source means, or None.

    Raises:
        UserError: The tag breaks a rule.
    """
    if wanted.startswith(HUB_PREFIX):
        return recall(store, wanted)
    return store.find("model", wanted)


def _record(store: Store, source: str) -> Path:
    # Another hub may have another model of that name.
    key = canonical_json([source, os.environ.get("HF_ENDPOINT", "")])
    return store.home.cache / "sources" / f"{hashlib.sha256(key).hexdigest()}.json"
