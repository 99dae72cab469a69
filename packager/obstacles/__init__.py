"""What keeps a bento from being snapshotted, as its build found it.

It follows the machine (a port, a name), so that it is no part of the bento: it is kept beside it.
"""

from __future__ import annotations

import json
from pathlib import Path

from bentofn.packager.files import atomic_write
from bentofn.packager.home import Home
from bentofn.runtime.manifest import canonical_json


def keep_obstacles(home: Home, key: str, obstacles: tuple[str, ...]) -> None:
    """Remember what was found.

    Args:
        home: The home.
        key: Digest of a bento's OCI manifest, or of all that the finding depends on, in hex.
        obstacles: One sentence each.
    """
    path = _path(home, key)
    home.directory(path.parent)
    atomic_write(path, canonical_json(obstacles))


def kept_obstacles(home: Home, key: str) -> tuple[str, ...] | None:
    """What was found; None if nobody has looked in this home."""
    try:
        found = json.loads(_path(home, key).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return tuple(map(str, found)) if isinstance(found, list) else None


def _path(home: Home, key: str) -> Path:
    return home.cache / "obstacles" / f"{key.removeprefix('sha256:')}.json"
