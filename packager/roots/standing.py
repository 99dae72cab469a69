"""Bento roots that stand already: finding one takes nothing of what makes one."""

from __future__ import annotations

import os
from pathlib import Path

from bentofn.packager.home import Home
from bentofn.packager.store import Entry
from bentofn.runtime.layout import BentoRoot


def root_path(home: Home, entry: Entry) -> Path:
    """Where a bento's root stands, or would stand, whose trees are all unpacked."""
    return root_of(home, entry.digest)


def root_of(home: Home, digest: str) -> Path:
    """As :func:`root_path`, of the bento with a digest."""
    return home.roots / digest.removeprefix("sha256:")[:16]


def standing_root(home: Home, entry: Entry) -> Path | None:
    """A bento's root, if it stands with its trees unpacked."""
    root = root_path(home, entry)
    return root if is_whole(root) else None


def is_whole(root: Path) -> bool:
    """Whether a root is there with the trees that it links to."""
    return BentoRoot(root).manifest.exists() and all(path.exists() for path in links_below(root))


def links_below(directory: Path) -> list[Path]:
    """The symbolic links below a directory; none is followed."""
    below = (Path(folder) / n for folder, names, files in os.walk(directory) for n in names + files)
    return [path for path in below if path.is_symlink()]
