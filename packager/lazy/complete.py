"""Brings what a lazy bento lacks; afterwards it is a bento like any other.

    python -m bentofn.packager.lazy.complete HOME TAG

is what runs in the background while the bento already answers: it pulls the rest, unpacks the
trees, compares the pack with them, and lets the roots that showed mounted trees show these.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bentofn.packager.home import Home
from bentofn.packager.lazy.figures import Figures
from bentofn.packager.lazy.origin import Origin
from bentofn.packager.prefetch.artifact import Prefetch, read_prefetch
from bentofn.packager.prefetch.pack import Pack, unpack
from bentofn.packager.prefetch.trace import Trace
from bentofn.packager.roots.materialise import trees_of, whole_directories
from bentofn.packager.roots.standing import links_below
from bentofn.packager.roots.trees import TREES_LOCK, Tree, unpack_tree, unpacked_path
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import PREFETCH
from bentofn.packager.store.referrers import referrers, subject_descriptor
from bentofn.runtime.errors import UserError
from bentofn.runtime.lifeline import die_with_parent


def make_whole(store: Store, entry: Entry, report: Callable[[str], None] = lambda _: None) -> Entry:
    """Fetch the blobs of a lazy bento that are not here.

    Args:
        store: The store.
        entry: A bento; one that is whole stays as it is.
        report: Told each blob that is fetched.

    Returns:
        The bento, whole.

    Raises:
        UserError: The registry refuses or fails, or the disk is full.
    """
    if not entry.lazy:
        return entry
    blobs = [Descriptor.from_json(store.manifest(entry)["config"]), *store.descriptors(entry)]
    if all(store.blobs.has_whole(blob.digest, blob.size) for blob in blobs):
        manifest = subject_descriptor(entry)
        return store.add("bento", entry.name, entry.version, manifest, entry.created)
    from bentofn.packager.registry.transfer import pull

    origin = Origin.parse(entry.lazy)
    reference = replace(origin.reference, tag=entry.digest)
    done = pull(store, reference, report, insecure=origin.insecure)
    Figures.of(store.home, entry).rest(done.moved)
    return done.entry


def complete(home: Home, tag: str, report: Callable[[str], None]) -> None:
    """Make a lazy bento whole, and its roots independent of what is mounted.

    Args:
        home: The home.
        tag: The bento.
        report: Told what is going on, and what is wrong.

    Raises:
        UserError: The registry refuses or fails, a layer is damaged, or the disk is full.
    """
    store = Store(home)
    entry = make_whole(store, store.get("bento", tag), report)
    trees = trees_of(store.descriptors(entry))
    with store.using(), home.lock(TREES_LOCK, shared=True):
        for tree in trees.values():
            unpack_tree(home, store, tree)
        unpacked = {tree.key: unpacked_path(home, tree) for tree in trees.values()}
        for root in whole_directories(home.roots):
            with home.lock(f"root-{root.name}"):
                for link in links_below(root):
                    # Other bentos may show a tree that is mounted for this one.
                    target = link.readlink()
                    if target.parent.name == home.mounted.name and target.name in unpacked:
                        _point(link, unpacked[target.name])
        _check_packs(home, store, entry, trees)


def pack_of(store: Store, prefetch: Prefetch, directory: Path) -> Pack:
    """The unpacked packs of a prefetch artifact.

    Args:
        store: The store, which has it.
        prefetch: The artifact.
        directory: Where it is unpacked.

    Raises:
        UserError: It is damaged.
    """
    digests = [pack.digest for pack in prefetch.packs]
    name = hashlib.sha256("".join(digests).encode()).hexdigest()
    blobs = [store.blob_path(digest) for digest in digests]
    return unpack(Trace.from_json(prefetch.trace), blobs, directory / f"{name}.pages")


def _check_packs(home: Home, store: Store, entry: Entry, trees: dict[str, Tree]) -> None:
    """Compare the pages that were used before the layers came with what the layers say.

    Raises:
        UserError: They differ: an artifact that brought them is not this bento's.
    """
    for referrer in referrers(store, entry.digest, PREFETCH):
        directory = home.directory(home.cache / "lazy")
        pack = pack_of(store, read_prefetch(store, referrer), directory)
        try:
            wrong = next(
                (path for path in pack.places if not _is_true(home, pack, path, trees)), ""
            )
        finally:
            pack.path.unlink()
        if wrong:
            raise UserError(
                f"A pack of {entry.tag} holds other bytes of {wrong} than the layers do: "
                "stop what runs from it, and do not trust who pushed the pack."
            )


def _is_true(home: Home, pack: Pack, path: str, trees: dict[str, Tree]) -> bool:
    """Whether a pack's pages of a file are those of the file."""
    place = next((place for place in trees if path.startswith(f"{place}/")), None)
    if place is None:
        return False
    file = unpacked_path(home, trees[place]) / path.removeprefix(f"{place}/")
    if not file.is_file():
        return False
    with file.open("rb") as plain, pack.path.open("rb") as pages:
        return all(
            os.pread(plain.fileno(), size, offset) == os.pread(pages.fileno(), size, position)
            for (offset, size), position in pack.ranges(path)
        )


def _point(link: Path, tree: Path) -> None:
    """Let a link of a root lead to another directory, without a moment in which it leads nowhere.

    Only to one of the same content: who runs from the root notices nothing.
    """
    target = os.path.relpath(tree, link.parent)
    new = link.with_name(f".{link.name}.new")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(link)


def main(argv: list[str]) -> int:
    """The process: says what it does on stdout, one line each."""
    die_with_parent()
    try:
        complete(Home(Path(argv[0])), argv[1], lambda line: print(line, flush=True))
    except (UserError, OSError) as error:
        print(error, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
