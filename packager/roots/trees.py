"""Trees: the directories that a bento's root is made of, and how layers are unpacked to them.

A tree is shared by every bento that has its layers. It has its name only when it is whole, and can
be made again from the store at any time, so it is not flushed to the disk one file at a time.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bentofn.packager.files import (
    make_directory,
    remove_tree,
    temporary_directory,
    writing,
)
from bentofn.packager.home import Home
from bentofn.packager.layers.files import check_path
from bentofn.packager.layers.stream import DamagedLayer
from bentofn.packager.layers.unpack import unpack_layer
from bentofn.packager.parts import ModelLayer, files_of
from bentofn.packager.roots.join import join, verify
from bentofn.packager.store import Descriptor, LayerInfo, Store
from bentofn.packager.store.blobs import BLOB_MODE
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX
from bentofn.runtime.manifest import canonical_json

TREES_LOCK = "unpacked"
"""Held shared by whoever makes or links trees, alone by whoever removes them."""

_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES}


@dataclass(frozen=True)
class Tree:
    """A directory of a bento's root, or of a model, and what it is made of.

    Args:
        key: Its name, which follows from its layers.
        archives: Layers that are unpacked in order; a later one replaces files of an earlier one.
        prefix: Path in the archives that becomes the tree; empty for all of them.
        files: Layers of files that are kept as they are, or in parts.
    """

    key: str
    archives: tuple[Descriptor, ...]
    prefix: str = ""
    files: tuple[ModelLayer, ...] = ()

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Its layers."""
        return (*self.archives, *(part.blob for part in self.files))

    @property
    def remedy(self) -> str:
        """What writes its layers anew."""
        return "build the bento again" if self.prefix else "import the model again"


class TreeProvider(Protocol):
    """Gives a tree as a directory in another way than by unpacking it, such as a mount.

    To add one: write a class with this method, and add it to ``tree_providers`` in
    :mod:`bentofn.packager.roots.providers`, which the local platform and ``serve`` ask when they
    start. The directory stands at ``home.mounted / tree.key``. It may be a private mount
    (:mod:`bentofn.packager.roots.mounts`), since each combination of directories gets a root of
    its own and whoever wants the root asks the provider first.
    """

    def provide(self, tree: Tree) -> Path | None:
        """Make sure of a tree, for this process and its children; asked again, it is there still.

        Called with :data:`TREES_LOCK` held shared, perhaps by several threads and processes at
        once, and only for trees that are not unpacked.

        Returns:
            The directory, or None for a tree that is better unpacked or given by another provider.

        Raises:
            UserError: A layer is damaged, or the disk is full.
        """


def layers_key(kind: str, layers: Sequence[Descriptor]) -> str:
    """The name of the tree that layers make when they are unpacked in order."""
    return _key(kind, [layer.digest for layer in layers])


def tree_of_layers(kind: str, layers: Sequence[Descriptor]) -> Tree:
    """The tree of a group of a bento's layers: its ``env``, ``src`` or ``runtime``."""
    return Tree(layers_key(kind, layers), tuple(layers), f"{ARCHIVE_PREFIX}/{kind}")


def tree_of_model(layers: Sequence[ModelLayer]) -> Tree:
    """The tree of a model's files.

    Raises:
        UserError: The parts of a file are not the whole file.
    """
    in_order = sorted((layer.path, layer.offset, layer.blob.digest) for layer in layers)
    return Tree(
        _key("model", [(path, digest) for path, _, digest in in_order]),
        tuple(layer.blob for layer in layers if layer.blob.is_archive),
        files=tuple(part for parts in files_of(layers).values() for part in parts),
    )


def unpacked_path(home: Home, tree: Tree) -> Path:
    """Where a tree is unpacked, or would be."""
    return home.unpacked / tree.key


def unpack_tree(home: Home, store: Store, tree: Tree) -> Path:
    """Make sure of a tree: archives unpacked, files in parts joined, and whole ones linked.

    Args:
        home: The home.
        store: Its store.
        tree: The tree.

    Returns:
        The directory.

    Raises:
        UserError: A layer is damaged or not safe to unpack, a path leaves the tree or stands twice
            in it, or the disk is full.
    """

    def fill(target: Path) -> None:
        for layer in tree.archives:
            unpack_blob(store, layer, target, tree.prefix, tree.remedy)
        for path, parts in files_of(tree.files).items():
            file = free_path(target, path)
            if len(parts) > 1:
                join(store, parts, file)
                file.chmod(BLOB_MODE)
            else:
                verify(store, parts[0])
                _link(store.blob_path(parts[0].blob.digest), file)

    return _ensure(home, tree.key, fill)


def unpack_blob(store: Store, layer: Descriptor, target: Path, prefix: str, remedy: str) -> None:
    """Unpack a layer of the store; one that is damaged is removed from it.

    Args:
        store: The store.
        layer: The layer.
        target: An existing directory.
        prefix: Path in the layer that becomes ``target``.
        remedy: What writes the layer anew, such as ``build the bento again``.

    Raises:
        UserError: The layer is damaged or not safe to unpack, or the disk is full.
    """
    blob = store.blob_path(layer.digest)
    try:
        unpack_layer(blob, layer.media_type, layer.digest, target, prefix)
    except DamagedLayer as error:
        raise damaged_layer(store, layer, remedy) from error


def damaged_layer(store: Store, layer: Descriptor, remedy: str) -> UserError:
    """Remove a damaged layer from the store, so that it is written anew, and say so."""
    store.blobs.remove(layer.digest)
    title = LayerInfo.of(layer).name
    return UserError(
        f"The layer {title!r} ({layer.digest}) is damaged or missing in {store.path}; "
        f"{remedy} to write it anew."
    )


def free_path(tree: Path, path: str) -> Path:
    """A path in a tree that is being filled, with its parents made.

    Raises:
        UserError: Something stands there already, or a file stands in the way.
    """
    target = tree.joinpath(*check_path(path))
    make_directory(target.parent)
    if os.path.lexists(target):
        raise UserError(f"The model has two files {path}; import it again.")
    return target


def adopt_tree(home: Home, key: str, tree: Path) -> bool:
    """Move a directory to the place of a tree, unless the tree is there; it is gone afterwards.

    Returns:
        False if the directory is on another disk and the tree must be unpacked instead.

    Raises:
        UserError: The disk is full or the home cannot be written.
    """
    unpacked = home.directory(home.unpacked)
    with home.lock(f"unpack-{key}"), writing(unpacked):
        if not (unpacked / key).is_dir():
            _normalise(tree)
            try:
                tree.rename(unpacked / key)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    return False
                raise
    remove_tree(tree)
    return True


def discard(path: Path) -> None:
    """Remove a directory so that a kill leaves it whole or under a temporary name."""
    with temporary_directory(path.parent) as temporary:
        path.rename(temporary / path.name)


def _ensure(home: Home, key: str, fill: Callable[[Path], None]) -> Path:
    tree = home.unpacked / key
    if tree.is_dir():
        return tree
    unpacked = home.directory(home.unpacked)
    with home.lock(f"unpack-{key}"):
        if not tree.is_dir():
            with temporary_directory(unpacked) as temporary:
                fill(temporary)
                temporary.chmod(0o755)
                temporary.rename(tree)
    return tree


def _link(blob: Path, path: Path) -> None:
    try:
        path.hardlink_to(blob)
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        path.symlink_to(blob.absolute())


def _normalise(tree: Path) -> None:
    """Give a directory the modes that its layers have, and remove its empty folders."""
    for folder, directories, files in os.walk(tree, topdown=False):
        here = Path(folder)
        for name in files:
            _normalise_file(here / name)
        for name in directories:
            path = here / name
            if not path.is_symlink() and not any(path.iterdir()):
                path.rmdir()
        here.chmod(0o755)


def _normalise_file(path: Path) -> None:
    status = path.lstat()
    wanted = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    if stat.S_ISLNK(status.st_mode) or stat.S_IMODE(status.st_mode) == wanted:
        return
    if status.st_nlink > 1:
        # Its other names are not ours: an installer may have linked it from its cache.
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    path.chmod(wanted)


def _key(kind: str, content: object) -> str:
    return f"{kind}-{hashlib.sha256(canonical_json(content)).hexdigest()[:32]}"
