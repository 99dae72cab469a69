"""From a bento's name to the directory that its instances run from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bentofn.adapters.bento import known_bento
from bentofn.adapters.local.interpreter import check_platform
from bentofn.packager.home import Home
from bentofn.packager.lazy.provider import LazyTrees
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.roots.trees import TreeProvider, layers_key
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.descriptors import LAYER_KIND
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest


@dataclass(frozen=True)
class LocalBento:
    """A bento that is unpacked on this machine.

    Args:
        tag: ``name:version``, or the path that it was given by.
        digest: Its digest.
        root: Its files.
        manifest: What it says about itself.
        packages: A name of its packages, which bentos of the store with the same packages have in
            common; empty where it is not known.
        answered: Told when a request was answered: what a lazy bento lacks may then be fetched.
    """

    tag: str
    digest: str
    root: BentoRoot
    manifest: BentoManifest
    packages: str = ""
    answered: Callable[[], None] = lambda: None


def resolve_bento(home: Home, reference: str, providers: Sequence[TreeProvider] = ()) -> LocalBento:
    """Find a bento and unpack it where that was not done before.

    Args:
        home: Whose store.
        reference: ``name[:version]``, or the absolute path of an unpacked bento.
        providers: Who may give its trees otherwise than unpacked.

    Raises:
        UserError: There is no such bento, or it was built for another platform.
    """
    if reference.startswith("/"):
        known = known_bento(home, reference)
        return LocalBento(known.tag, known.digest, BentoRoot(Path(reference)), known.manifest)
    store = Store(home)
    entry = store.get("bento", reference)
    manifest = store.bento(entry)
    check_platform(manifest)
    root = BentoRoot(materialise(home, entry, providers))
    packages = _packages(store.descriptors(entry))
    lazy = [each for each in providers if isinstance(each, LazyTrees)] if entry.lazy else []
    if not lazy:
        return LocalBento(entry.tag, entry.digest, root, manifest, packages)
    answered = partial(lazy[0].answered, entry.digest)
    return LocalBento(entry.tag, entry.digest, root, manifest, packages, answered)


def _packages(layers: Sequence[Descriptor]) -> str:
    """A name that follows from the packages alone, not from which of them a start imports."""
    return layers_key("env", [layer for layer in layers if layer.annotations[LAYER_KIND] == "env"])
