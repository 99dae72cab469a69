"""Unpacks an image as the root of a process: links of every kind are legal, and stay inside.

Layers are applied as the image specification says, without trusting them: every name is resolved
below the target as if that were ``/``, and devices are left out.
https://github.com/opencontainers/image-spec/blob/v1.1.0/layer.md
"""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from bentofn.packager.containerize.blob import Layer
from bentofn.packager.containerize.tree import OPAQUE, WHITEOUT, entry_path, read_entries
from bentofn.packager.files import CHUNK, remove_tree, writing
from bentofn.runtime.errors import UserError

XATTR = "SCHILY.xattr."
KEPT_XATTRS = ("security.capability",)
"""What a program may do without being root; other attributes are the host's business."""

_MOST_LINKS = 40


def unpack_image(layers: Sequence[Layer], target: Path, source: str) -> None:
    """Unpack layers over each other, with their owners; only root may.

    Args:
        layers: The layers, the lowest first.
        target: An empty directory.
        source: Where they come from, for messages.

    Raises:
        UserError: A layer is damaged or not safe to unpack, or the disk is full.
    """
    for layer in layers:
        rootfs = _Rootfs(target, source)
        with writing(target):
            for info, content in read_entries(layer, source):
                rootfs.add(info, content)


def folder_inside(root: Path, path: str, source: str) -> Path:
    """The folder that a path leads to inside a root, whatever links are on the way.

    It is made where it is not there.

    Args:
        root: The root.
        path: The path, with or without a slash at its start.
        source: What the root was made from, for messages.

    Raises:
        UserError: Links lead round in rings.
    """
    here = root
    pending = [part for part in reversed(path.split("/")) if part]
    followed = 0
    while pending:
        part = pending.pop()
        if part in (".", ".."):
            here = here.parent if part == ".." and here != root else here
            continue
        following = here / part
        if following.is_symlink():
            followed += 1
            if followed > _MOST_LINKS:
                raise UserError(f"{source} is not safe to unpack: {path} goes in rings.")
            target = str(following.readlink())
            here = root if target.startswith("/") else here
            pending += [part for part in reversed(target.split("/")) if part]
            continue
        if not following.is_dir():
            following.unlink(missing_ok=True)
            following.mkdir()
            following.chmod(0o755)
        here = following
    return here


class _Rootfs:
    """A directory over which one layer is laid."""

    def __init__(self, root: Path, source: str) -> None:
        self._root = root
        self._source = source
        self._written: set[Path] = set()

    def add(self, info: tarfile.TarInfo, content: BinaryIO | None) -> None:
        name = entry_path(info)
        if name is None:
            return
        folder, _, last = name.rpartition("/")
        parent = folder_inside(self._root, folder, self._source)
        if last == OPAQUE:
            self._clear(parent)
        elif last.startswith(WHITEOUT):
            remove_tree(self._child(parent, last[len(WHITEOUT) :]))
        else:
            self._make(self._child(parent, last), info, content)

    def _make(self, path: Path, info: tarfile.TarInfo, content: BinaryIO | None) -> None:
        if info.isdir():
            if path.is_symlink() or not path.is_dir():
                remove_tree(path)
                path.mkdir()
        elif info.issym():
            remove_tree(path)
            path.symlink_to(info.linkname)
        elif info.islnk():
            self._hard_link(path, info)
            return
        elif content is not None:
            remove_tree(path)
            self._write(path, content, info)
        else:
            return  # a device or a pipe: none is needed, and some are dangerous
        os.chown(path, info.uid, info.gid, follow_symlinks=False)
        if not info.issym():
            path.chmod(stat.S_IMODE(info.mode))
            self._attributes(path, info)
        self._written.add(path)
        if not info.isdir():  # what comes into a folder changes its time anyway
            moment = max(0.0, float(info.mtime))
            os.utime(path, (moment, moment), follow_symlinks=False)

    def _write(self, path: Path, content: BinaryIO, info: tarfile.TarInfo) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            shutil.copyfileobj(content, file, CHUNK)
            if file.tell() != info.size:
                raise self._unsafe(info, "is cut short")

    def _hard_link(self, path: Path, info: tarfile.TarInfo) -> None:
        parts = [part for part in info.linkname.split("/") if part not in ("", ".")]
        if not parts or ".." in parts:
            raise self._unsafe(info, "is a hard link out of the image")
        original = self._child(
            folder_inside(self._root, "/".join(parts[:-1]), self._source), parts[-1]
        )
        if original == path:
            return
        if not original.is_symlink() and not original.is_file():
            raise self._unsafe(info, "is a hard link to something that is not there")
        remove_tree(path)
        os.link(original, path, follow_symlinks=False)
        self._written.add(path)

    def _attributes(self, path: Path, info: tarfile.TarInfo) -> None:
        for name in KEPT_XATTRS:
            value = info.pax_headers.get(XATTR + name)
            if value is not None:
                os.setxattr(path, name, value.encode("utf-8", "surrogateescape"))

    def _clear(self, folder: Path) -> None:
        """Remove what lower layers put into a folder."""
        for child in list(folder.iterdir()):
            if child not in self._written:
                remove_tree(child)

    def _child(self, parent: Path, name: str) -> Path:
        if name in ("", ".", ".."):
            raise UserError(f"{self._source} is not safe to unpack: it removes {name!r}.")
        return parent / name

    def _unsafe(self, info: tarfile.TarInfo, why: str) -> UserError:
        return UserError(
            f"{self._source} is not safe to unpack: its entry {info.name!r} {why}; do not use it."
        )
