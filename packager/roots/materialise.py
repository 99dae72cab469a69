"""Bento roots: a bento of the store as directories that a process can run from."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bentofn.packager.erofs.images import image_keys, image_path, remove_image
from bentofn.packager.files import atomic_write, temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.kept.place import forget, link_kept
from bentofn.packager.lazy.leftovers import lazy_leftovers
from bentofn.packager.parts import models_of
from bentofn.packager.roots.standing import is_whole, links_below, root_path
from bentofn.packager.roots.trees import (
    TREES_LOCK,
    Tree,
    TreeProvider,
    adopt_tree,
    discard,
    layers_key,
    tree_of_layers,
    tree_of_model,
    unpack_tree,
    unpacked_path,
)
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import LAYER_KIND
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot

_DIRECTORIES: Mapping[str, str] = {
    "env": "env",
    "bytecode": "env",
    "runtime": "runtime",
    "code": "src",
    "model": "models",
    "compiled": "compiled",
}
"""Kind of a layer to the directory of the root that it fills."""


def materialise(home: Home, entry: Entry, providers: Sequence[TreeProvider] = ()) -> Path:
    """Make sure of a bento's root; any number of processes may ask at once.

    Every blob's digest is checked when it is unpacked, which happens once.

    Args:
        home: The home.
        entry: A bento of its store.
        providers: Who may give a tree that is not unpacked yet, asked in order; what none of them
            gives is unpacked.

    Returns:
        The root: ``bento.json``, ``src``, ``runtime``, ``env`` and ``models``.

    Raises:
        UserError: A layer is damaged (the message says which), or the disk is full.
    """
    unpacked = root_path(home, entry)
    if is_whole(unpacked):
        return unpacked
    store = Store(home)
    if entry.lazy and not providers:
        from bentofn.packager.lazy.complete import make_whole

        entry = make_whole(store, entry)
    with store.using(), home.lock(TREES_LOCK, shared=True):
        links = {
            path: _provide(home, store, tree, providers)
            for path, tree in trees_of(store.descriptors(entry)).items()
        }
        root = _root_of(home, unpacked, links)
        with home.lock(f"root-{root.name}"):
            if not is_whole(root):
                _write_root(home, root, store.config(entry), links)
                link_kept(home, entry.digest)
    return root


def trees_of(layers: Sequence[Descriptor]) -> dict[str, Tree]:
    """A bento's trees by their path in the root.

    Raises:
        UserError: A layer is of an unknown kind, or a model's has no proper path.
    """
    groups = _groups(layers).items()
    trees = {directory: tree_of_layers(directory, group) for directory, group in groups}
    return trees | {path: tree_of_model(model) for path, model in models_of(layers).items()}


def unpack_env(home: Home, layers: Sequence[Descriptor]) -> Path:
    """Make sure of the environment that a list of env and bytecode layers makes.

    Raises:
        UserError: A layer is damaged, or the disk is full.
    """
    store = Store(home)
    with store.using(), home.lock(TREES_LOCK, shared=True):
        return unpack_tree(home, store, tree_of_layers("env", layers))


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
    """Remove a bento's roots; :func:`prune` frees its trees. Nothing may run from them."""
    with home.lock(TREES_LOCK):
        for root in whole_directories(home.roots):
            if _bento_of(root) == root_path(home, entry):
                discard(root)
        forget(home, entry.digest)


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
        for link in links_below(home.models):
            if link not in models:
                link.unlink()
        wanted_roots = {root_path(home, entry) for entry in bentos} | set(keep)
        roots = whole_directories(home.roots)
        removed = [r for r in roots if r not in wanted_roots and _bento_of(r) not in wanted_roots]
        wanted = {t.key for entry in bentos for t in trees_of(store.descriptors(entry)).values()}
        kept = [root for root in roots if root not in removed]
        linked = [*(path for root in kept for path in links_below(root)), *links_below(home.models)]
        wanted.update(path.readlink().name for path in linked)
        for trees in (home.unpacked, home.mounted):
            removed += [tree for tree in whole_directories(trees) if tree.name not in wanted]
        bento_names = {_bento_of(root).name for root in wanted_roots}
        removed += [p for p in whole_directories(home.compiled) if p.name not in bento_names]
        removed += lazy_leftovers(home, store, bentos)
        for path in removed:
            discard(path)
        removed += _prune_images(home, wanted)
        return removed


def _prune_images(home: Home, wanted: Collection[str]) -> list[Path]:
    """Remove the images of trees that nobody needs, or that are unpacked by now."""
    keys = image_keys(home)
    gone = [key for key in keys if key not in wanted or (home.unpacked / key).is_dir()]
    for key in gone:
        remove_image(home, key)
    return [image_path(home, key) for key in gone]


def _provide(home: Home, store: Store, tree: Tree, providers: Sequence[TreeProvider]) -> Path:
    if not unpacked_path(home, tree).is_dir():
        for provider in providers:
            if (directory := provider.provide(tree)) is not None:
                return directory
    return unpack_tree(home, store, tree)


def _root_of(home: Home, unpacked: Path, links: Mapping[str, Path]) -> Path:
    """The root with these links: each set of trees that are not unpacked has one of its own, since
    another process may not see them."""
    others = sorted(path for path, tree in links.items() if tree.parent != home.unpacked)
    if not others:
        return unpacked
    digest = hashlib.sha256("\n".join(others).encode()).hexdigest()
    return unpacked.with_name(f"{unpacked.name}-{digest[:8]}")


def _bento_of(root: Path) -> Path:
    return root.with_name(root.name.partition("-")[0])


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
            groups.setdefault(_DIRECTORIES[kind], []).append(layer)
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


def whole_directories(directory: Path) -> list[Path]:
    """The whole directories of a directory: those that no process is still making."""
    found = sorted(directory.iterdir()) if directory.is_dir() else []
    return [path for path in found if path.is_dir() and not path.name.startswith(".")]
