"""Compiled code that was made at a bento's first use goes to other machines with it.

On the wire it is an artifact that refers to the bento, one for each class of machines: the record
of what it was compiled on, and the files as a layer. It is code that runs, and the bento's digest
does not say what it holds: so only who asks for it gets it, and it is signed with the bento.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bentofn.packager.arriving_referrers import Read
from bentofn.packager.files import temporary_directory
from bentofn.packager.home import Home
from bentofn.packager.kept.collect import COMPILED, directory_of
from bentofn.packager.kept.place import kept_place, link_kept, put_in_place
from bentofn.packager.layers import collect_tree, put_layer, unpack_layer
from bentofn.packager.layers.stream import DamagedLayer
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import COMPILED as ARTIFACT
from bentofn.packager.store.descriptors import TITLE
from bentofn.packager.store.referrers import (
    Referrer,
    put_referrer,
    read_content,
    referrers,
    subject_descriptor,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.kept.host import this_host
from bentofn.runtime.kept.layer import RECORD, Kept, kept_below
from bentofn.runtime.layout import ARCHIVE_PREFIX

RECORD_TYPE = "application/vnd.bentofn.compiled.record.v1+json"

MAX_RECORD = 1 << 20
"""Bytes of a record, which names functions and what a compiler says of itself."""

_MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def attach_compiled(store: Store, entry: Entry) -> list[Referrer]:
    """Make what a bento compiled on this machine part of what goes with it; the same again changes
    nothing.

    Raises:
        UserError: It compiled nothing that it did not come with, or the disk is full.
    """
    place = kept_place(store.home, entry.digest)
    attached = []
    with store.using():
        for directory, kept in kept_below([place]):
            files = collect_tree(directory, f"{ARCHIVE_PREFIX}/{COMPILED}/{directory.name}")
            layer = put_layer(store, files, kind="compiled", title=COMPILED)
            record = store.put_bytes(kept.to_json(), RECORD_TYPE)
            about = Descriptor(RECORD_TYPE, record.digest, record.size, {TITLE: "record"})
            attached.append(
                put_referrer(store, subject_descriptor(entry), ARTIFACT, (about, layer))
            )
    if not attached:
        raise UserError(
            f"{entry.tag} has compiled nothing on this machine that it did not come with; call a "
            "function of it here first, or leave out --compiled."
        )
    return attached


@dataclass
class FittingCompiled:
    """Judges the compiled code that comes with a bento, and keeps what it said.

    Args:
        taken: What fits this machine.
        left: Why each of the others does not, completes "it was compiled ...".
    """

    taken: list[Kept] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    def __call__(self, referrer: Referrer, read: Read, bento: str) -> bool:
        """Whether it fits; see :data:`bentofn.packager.arriving_referrers.Fits`."""
        try:
            _check(referrer)
            kept = _read(read(referrer.layers[0]))
        except UserError:
            self.left.append("by something else than bentofn")
            return False
        problem = kept.mismatch(this_host())
        if problem is None:
            self.taken.append(kept)
        else:
            self.left.append(problem)
        return problem is None


def keep_arrived(home: Home, entry: Entry, report: Callable[[str], None]) -> None:
    """Keep the compiled code that came with a bento, where its starts look.

    Raises:
        UserError: It is unsafe or damaged, or the disk is full.
    """
    store = Store(home)
    place = kept_place(home, entry.digest)
    for referrer in referrers(store, entry.digest, ARTIFACT):
        _check(referrer)
        kept = _read(read_content(store, referrer))
        target = place / directory_of(kept.host)
        with home.lock(f"compiled-{place.name}"):
            if target.is_dir() or kept.mismatch(this_host()) is not None:
                continue
            report("Unpacking what was compiled")
            with temporary_directory(home.directory(place)) as scratch:
                _unpack(store, entry, referrer.layers[1], target.name, scratch)
                (scratch / RECORD).write_bytes(kept.to_json())
                put_in_place(scratch, target)
            link_kept(home, entry.digest)


def _unpack(store: Store, entry: Entry, layer: Descriptor, name: str, target: Path) -> None:
    prefix = f"{ARCHIVE_PREFIX}/{COMPILED}/{name}"
    try:
        unpack_layer(store.blob_path(layer.digest), layer.media_type, layer.digest, target, prefix)
    except DamagedLayer as error:
        store.blobs.remove(layer.digest)  # or the next pull would take it for the blob
        raise UserError(
            f"What was compiled of {entry.tag} is damaged in {store.path}; pull it again."
        ) from error


def _check(referrer: Referrer) -> None:
    layers = referrer.layers
    if len(layers) != 2 or layers[0].media_type != RECORD_TYPE or layers[0].size > MAX_RECORD:
        raise UserError(f"{referrer.manifest.digest} is no compiled code that bentofn wrote.")


def _read(record: bytes) -> Kept:
    """Read what arrived with suspicion: it is shown on terminals."""
    try:
        kept = Kept.from_json(record)
        host = kept.host
        words = (host.machine, host.gpu, host.driver, host.compiler, *host.features, *kept.what)
        if not all(map(str.isprintable, words)):
            raise ValueError("words")
    except _MALFORMED as error:
        raise UserError("Compiled code came with the bento without a readable record.") from error
    return kept
