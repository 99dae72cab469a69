"""Bento roots: a bento of the store as directories that a process can run from."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.parts import models_of
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import LAYER_KIND
from bentofn.packager.trees import (
    TREES_LOCK,
    adopt_tree,
    discard,
    layers_key,
    model_key,
    model_tree,
    unpack_tree,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import ARCHIVE_PREFIX, BentoRoot

_DIRECTORIES: Mapping[str, str] = {
    "env": "env",
    "bytecode": "env",
    "runtime": "runtime",
    "code": "src",
    "model": "models",
}
"""Kind of a layer to the directory of the root that it fills."""


def root_path(home: Home, entry: Entry) -> Path:
    """Where a bento's root stands, or would stand."""
    return home.roots / entry.digest.removeprefix("sha256:")[:16]


def materialise(home: Home, entry: Entry) -> Path:
    """Make sure of a bento's root; any number of processes may ask at once.

    Every blob's digest is checked when it is unpacked, which happens once.

    Args:
        home: The home.
        entry: A bento of its store.

    Returns:
        The root: ``bento.json``, ``src``, ``runtime``, ``env`` and ``models``.

    Raises:
        UserError: A layer is damaged (the message says which), or the disk is full.
    """
    root = root_path(home, entry)
    if _is_whole(root):
        return root
    store = Store(home)
    with store.using(), home.lock(TREES_LOCK, shared=True):
        links = _make_trees(home, store, store.descriptors(entry))
        with home.lock(f"root-{root.name}"):
            if not _is_whole(root):
                _write_root(home, root, store.config(entry), links)
    return root


def unpack_env(home: Home, layers: Sequence[Descriptor]) -> Path:
    """Make sure of the environment that a list of env and bytecode layers makes.

    Raises:
        UserError: A layer is damaged, or the disk is full.
    """
    store = Store(home)
    with store.using(), home.lock(TREES_LOCK, shared=True):
        return _unpack(home, store, "env", layers)


def adopt_env(home: Home, layers: Sequence[Descriptor], tree: Path) -> Path:
    """Move a freshly installed environment to where :func:`unpack_env` would unpack it.

    Args:
        home: The home.
        layers: Its env and bytecode layers, in the order of the manifest.
        tree: A directory that holds what the layers hold, files of its own (not linked from an
            installer's cache), best below ``home.unpacked``; it is gone afterwards.

    Returns:
        The environment.

    Raises:
        UserError: The disk is full or the home cannot be written.
    """
    key = layers_key("env", layers)
    with home.lock(TREES_LOCK, shared=True):
        adopted = adopt_tree(home, key, tree)
    return home.unpacked / key if adopted else unpack_env(home, layers)


def unmaterialise(home: Home, entry: Entry) -> None:
    """Remove a bento's root; :func:`prune` frees its trees. Nothing may run from it."""
    root = root_path(home, entry)
    with home.lock(TREES_LOCK):
        if root.is_dir():
            discard(root)


def prune(home: Home, keep: Collection[Path] = ()) -> list[Path]:
    """Remove the roots of what the store no longer has, and the unpacked trees that nobody needs.

    Nothing is removed while something is built: its trees are made before its bento is known.

    Args:
        home: The home.
        keep: Roots that something runs from, kept although their bento was deleted.

    Returns:
        What was removed.

    Raises:
        UserError: A manifest of the store is damaged, so that what is needed is not known.
    """
    store = Store(home)
    with store.alone() as alone, home.lock(TREES_LOCK):
        if not alone:
            return []
        bentos = store.list("bento")
        models = {home.models / entry.name / entry.version for entry in store.list("model")}
        for link in _links(home.models):
            if link not in models:
                link.unlink()
        wanted_roots = {root_path(home, entry) for entry in bentos} | set(keep)
        removed = [root for root in _whole_directories(home.roots) if root not in wanted_roots]
        wanted = {key for entry in bentos for key in _keys(store.descriptors(entry))}
        linked = [*(path for root in wanted_roots for path in _links(root)), *_links(home.models)]
        wanted.update(path.readlink().name for path in linked)
        removed += [tree for tree in _whole_directories(home.unpacked) if tree.name not in wanted]
        for path in removed:
            discard(path)
        return removed


def _make_trees(home: Home, store: Store, layers: Sequence[Descriptor]) -> dict[str, Path]:
    """Make sure of a bento's trees; returns path in the root to tree."""
    links = {
        directory: _unpack(home, store, directory, group)
        for directory, group in _groups(layers).items()
    }
    for path, model in models_of(layers).items():
        links[path] = model_tree(home, store, model)
    return links


def _unpack(home: Home, store: Store, directory: str, layers: Sequence[Descriptor]) -> Path:
    key = layers_key(directory, layers)
    return unpack_tree(home, store, key, layers, f"{ARCHIVE_PREFIX}/{directory}")


def _keys(layers: Sequence[Descriptor]) -> Iterator[str]:
    for directory, group in _groups(layers).items():
        yield layers_key(directory, group)
    for model in models_of(layers).values():
        yield model_key(model)


def _groups(layers: Sequence[Descriptor]) -> dict[str, list[Descriptor]]:
    """The archive layers by the directory that they fill."""
    groups: dict[str, list[Descriptor]] = {"src": [], "runtime": [], "env": []}
    for layer in layers:
        kind = layer.annotations.get(LAYER_KIND, "")
        if kind not in _DIRECTORIES:
            raise UserError(
                f"This bento has a layer of kind {kind!r}, which this bentofn does not know; "
                "use the bentofn that built it."
            )
        if kind != "model":
            groups[_DIRECTORIES[kind]].append(layer)
    return groups


def _write_root(home: Home, root: Path, manifest: bytes, links: Mapping[str, Path]) -> None:
    if root.exists():
        discard(root)
    with temporary_directory(home.directory(home.roots)) as temporary:
        atomic_write(BentoRoot(temporary).manifest, manifest)
        BentoRoot(temporary).models.mkdir()
        for path, tree in links.items():
            link = temporary / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(tree, (root / path).parent))
        temporary.chmod(0o755)
        temporary.rename(root)


def _is_whole(root: Path) -> bool:
    """Whether a root is there with the trees that it links to."""
    return BentoRoot(root).manifest.exists() and all(path.exists() for path in _links(root))


def _links(directory: Path) -> list[Path]:
    """The symbolic links below a directory; none is followed."""
    below = (Path(folder) / n for folder, names, files in os.walk(directory) for n in names + files)
    return [path for path in below if path.is_symlink()]


def _whole_directories(directory: Path) -> list[Path]:
    """The whole directories of a directory: those that no process is still making."""
    found = sorted(directory.iterdir()) if directory.is_dir() else []
    return [path for path in found if path.is_dir() and not path.name.startswith(".")]
