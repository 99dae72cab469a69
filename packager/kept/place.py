"""Where compiled code is kept beside a bento on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from bentofn.packager.files import (
    remove_tree,
    sync_directory,
    sync_file,
    temporary_directory,
)
from bentofn.packager.home import Home
from bentofn.packager.kept.collect import Collected
from bentofn.runtime.kept.layer import FILES, RECORD
from bentofn.runtime.layout import BentoRoot


def kept_place(home: Home, digest: str) -> Path:
    """Where compiled code is kept beside a bento."""
    return home.compiled / digest.removeprefix("sha256:")[:16]


def keep(home: Home, digest: str, found: Collected) -> None:
    """Keep what was compiled beside a bento, and have its roots lead there."""
    target = home.directory(kept_place(home, digest)) / found.id
    with temporary_directory(target.parent) as scratch:
        copy_to(scratch, found)
        put_in_place(scratch, target)
    link_kept(home, digest)


def put_in_place(made: Path, target: Path) -> None:
    """Have a directory stand where starts look, durably: a part of a program would end them."""
    for folder, _, names in os.walk(made):
        for name in names:
            sync_file(Path(folder, name))
        sync_directory(Path(folder))
    made.chmod(0o755)
    remove_tree(target)
    made.rename(target)
    sync_directory(target.parent)


def copy_to(directory: Path, found: Collected) -> None:
    """Copy what was compiled, as it stands in a root."""
    for path, source in found.contents():
        copy = directory / FILES / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(source, Path):
            shutil.copyfile(source, copy)
        else:
            copy.write_bytes(source)
    (directory / RECORD).write_bytes(found.kept.to_json())


def link_kept(home: Home, digest: str) -> None:
    """Have the roots of a bento lead to what is kept beside it, if anything is."""
    place = kept_place(home, digest)
    if not place.is_dir():
        return
    for root in home.roots.glob(f"{place.name}*"):
        with contextlib.suppress(FileExistsError):
            link = BentoRoot(root).compiled_here
            link.symlink_to(os.path.relpath(place, link.parent))


def forget(home: Home, digest: str) -> None:
    """Remove what is kept beside a bento."""
    remove_tree(kept_place(home, digest))
