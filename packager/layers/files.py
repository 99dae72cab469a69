"""What goes into a layer: files and links, with paths that cannot leave it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from bentofn.runtime.errors import UserError


@dataclass(frozen=True)
class LayerFile:
    """A regular file of a layer.

    Args:
        path: Its path in the layer, relative, with ``/``.
        source: The file to copy, or its content.
        executable: Whether its mode is 0755 instead of 0644.
    """

    path: str
    source: Path | bytes
    executable: bool = False


@dataclass(frozen=True)
class LayerLink:
    """A symbolic link of a layer.

    Args:
        path: Its path in the layer, relative, with ``/``.
        target: What it points to, relative, inside the layer.
    """

    path: str
    target: str


LayerEntry: TypeAlias = "LayerFile | LayerLink"


def check_path(path: str) -> tuple[str, ...]:
    """The components of a path inside a layer.

    Raises:
        ValueError: It is empty, absolute, or has an empty, ``.``, ``..`` or NUL component.
    """
    parts = tuple(path.split("/"))
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ValueError(f"not a path inside a layer: {path!r}")
    return parts


def check_link(path: str, target: str) -> None:
    """Check that a link stays inside the tree whose root ``path`` is relative to.

    ``..`` is allowed at the start only: after a name it would be taken from wherever that name
    leads, which may be another link.

    Raises:
        ValueError: It is absolute, empty, or leaves the tree.
    """
    parts = target.split("/")
    up = 0
    while up < len(parts) and parts[up] in (".", ".."):
        up += 1
    climbs = parts[:up].count("..")
    depth = len(check_path(path)) - 1
    rest = parts[up:]
    if not target or target.startswith("/") or "\0" in target or climbs > depth or ".." in rest:
        raise ValueError(f"the link {path!r} leaves its tree: {target!r}")


def collect_tree(directory: Path, prefix: str) -> Iterator[LayerEntry]:
    """The files and links below a directory, as entries below ``prefix``; empty folders are left
    out.

    Args:
        directory: The directory.
        prefix: Path in the layer, such as ``opt/bento/env``.

    Raises:
        UserError: A link leaves the directory, or something is neither file, folder nor link.
    """
    for folder, directories, files in os.walk(directory):
        relative = Path(folder).relative_to(directory).as_posix()
        inside = "" if relative == "." else f"{relative}/"
        linked = [name for name in directories if (Path(folder) / name).is_symlink()]
        directories.sort()
        for name in sorted([*files, *linked]):
            yield _entry(Path(folder) / name, f"{inside}{name}", prefix)


def _entry(path: Path, relative: str, prefix: str) -> LayerEntry:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        target = str(path.readlink())
        try:
            check_link(relative, target)
        except ValueError as error:
            raise UserError(
                f"The symbolic link {path} points to {target}, outside the folder that is packed; "
                "put the file itself there, or leave the link out."
            ) from error
        return LayerLink(f"{prefix}/{relative}", target)
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is neither a file, a folder nor a link; leave it out.")
    return LayerFile(f"{prefix}/{relative}", path, bool(status.st_mode & stat.S_IXUSR))
