"""Gives environments as mounted EROFS images: unpacking thousands of files costs more."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.erofs.images import image_path, make_image, remove_image
from bentofn.packager.files import make_directory
from bentofn.packager.home import Home
from bentofn.packager.roots.mounts import is_mounted, mount_erofs, why_no_erofs
from bentofn.packager.roots.trees import Tree
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX


@dataclass(frozen=True)
class ImageTrees:
    """A :class:`~bentofn.packager.roots.trees.TreeProvider`, in a mount namespace of its own.

    Args:
        home: Whose trees.
    """

    home: Home

    def provide(self, tree: Tree) -> Path | None:
        """An environment, mounted; where that fails it is to be unpacked."""
        if tree.prefix != f"{ARCHIVE_PREFIX}/env":
            return None
        target = make_directory(self.home.mounted / tree.key)
        with self.home.lock(f"image-{tree.key}"):
            if is_mounted(target):
                return target
            images = self.home.directory(self.home.images)
            if not image_path(self.home, tree.key).exists() and why_no_erofs(images) is not None:
                return None
            image = make_image(self.home, Store(self.home), tree)
            with suppress(UserError):
                mount_erofs(image, target)
                return target
            remove_image(self.home, tree.key)
        return None
