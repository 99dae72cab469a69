"""Remembers the digests of files by what stat says of them.

An entry is trusted only if the file was last changed well before the entry was written: a change
within the same tick of the clock leaves mtime and size as they were (git's "racy" problem,
https://git-scm.com/docs/racy-git).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from bentofn.packager.code.sources import HashedTree, SourceFile
from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home

RACY_NS = 2_000_000_000
"""Nanoseconds: a file changed within this time before it was hashed is hashed again. The coarsest
clock of a common file system (FAT) ticks every 2 s."""


def hash_tree(project: Path, files: Sequence[SourceFile], home: Home) -> HashedTree:
    """Hash a project's files, reading only those that changed.

    Args:
        project: The project's folder, which names the cache.
        files: The files, sorted by path.
        home: Where the cache is.
    """
    name = hashlib.sha256(os.fsencode(project.resolve())).hexdigest()
    cache = home.cache / "sources" / f"{name}.json"
    known = _read(cache)
    now = time.time_ns()
    entries: dict[str, list[object]] = {}
    for file in files:
        key = str(file.source)
        entry = known.get(key)
        if entry is None or entry[1] != list(file.stat) or not _settled(file, entry[2]):
            entry = [_sha256(file.source), list(file.stat), now]
        entries[key] = entry
    if entries != known:
        home.directory(cache.parent)
        atomic_write(cache, json.dumps(entries).encode())
    return HashedTree(
        files=tuple(files),
        digests={file.path: str(entries[str(file.source)][0]) for file in files},
    )


def _settled(file: SourceFile, hashed_at: object) -> bool:
    _, modified, changed, _ = file.stat
    return isinstance(hashed_at, int) and max(modified, changed) + RACY_NS < hashed_at


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _read(cache: Path) -> dict[str, list[object]]:
    try:
        entries = json.loads(cache.read_bytes())
        if all(len(entry) == 3 for entry in entries.values()):
            return dict(entries)
    except (FileNotFoundError, ValueError, TypeError, AttributeError):
        pass
    return {}
