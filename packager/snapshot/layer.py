"""A snapshot on the wire: an artifact that refers to its bento, one for each class of hosts.

Its first blob is the record (key, origin, digests of every chunk), its second the chunks. Like all
that refers to a bento it is pushed, exported and signed with it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bentofn.packager.files import temporary_file, writing
from bentofn.packager.home import Home
from bentofn.packager.layers.files import check_path
from bentofn.packager.snapshot.frames import data_size, frames_of, read_frames, write_frames
from bentofn.packager.snapshot.key import SnapshotKey
from bentofn.packager.snapshot.limit import size_limit
from bentofn.packager.snapshot.mapped import MappedFile, what_changed
from bentofn.packager.snapshot.snapshot import MALFORMED, RECORD, Snapshot
from bentofn.packager.snapshot.stage import Stage
from bentofn.packager.snapshot.verification import VERIFIED
from bentofn.packager.store import Descriptor, Entry, Store
from bentofn.packager.store.descriptors import SNAPSHOT, TITLE
from bentofn.packager.store.referrers import (
    Referrer,
    put_referrer,
    read_content,
    referrers,
    subject_descriptor,
)
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json

RECORD_TYPE = "application/vnd.bentofn.snapshot.record.v1+json"
MEMORY_TYPE = "application/vnd.bentofn.snapshot.memory.v1+zstd"

MAX_RECORD = 32 << 20
"""Bytes of a record: 64 for each 2 MiB of memory."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class ArrivedSnapshot:
    """A snapshot that came with a bento and is not unpacked.

    Args:
        snapshot: What its record says, with no path that means anything yet.
        sizes: Bytes of the frames of its blob.
    """

    snapshot: Snapshot
    sizes: tuple[int, ...]


def attach(store: Store, entry: Entry, snapshot: Snapshot) -> Referrer:
    """Make a snapshot part of what goes with its bento; the same again changes nothing.

    Raises:
        UserError: It holds what may not leave this machine, is damaged, or the disk is full.
    """
    if not snapshot.shareable:
        raise UserError(
            f"Snapshot {snapshot.id[:12]} stays on this machine: it was taken with variables that "
            f"{entry.tag} does not declare, and its memory may hold them; take one with "
            f"`bentofn snapshot take {entry.tag}`."
        )
    with store.using():
        known = _attached(store, entry, snapshot.key)
        if known is not None:
            return known
        with temporary_file(store.blobs.directory) as scratch:
            sizes = write_frames(snapshot.path, snapshot.files, scratch.file)
            scratch.file.flush()
            memory = store.put_file(scratch.path, MEMORY_TYPE)
        record = store.put_bytes(_record(snapshot, sizes), RECORD_TYPE)
        layers = [
            Descriptor(each.media_type, each.digest, each.size, {TITLE: f"snapshot {title}"})
            for each, title in ((record, "record"), (memory, "memory"))
        ]
        return put_referrer(store, subject_descriptor(entry), SNAPSHOT, layers)


def arrived(store: Store, bento: str) -> list[tuple[Referrer, ArrivedSnapshot]]:
    """The snapshots that are attached to a bento; a malformed one is not among them.

    Args:
        store: The store.
        bento: The bento's digest.
    """
    found = []
    for referrer in referrers(store, bento, SNAPSHOT):
        try:
            check_referrer(referrer)
            found.append((referrer, read_record(read_content(store, referrer), bento)))
        except UserError:
            continue
    return found


def check_referrer(referrer: Referrer) -> None:
    """Refuse an artifact that is not made as a snapshot is.

    Raises:
        UserError: It is not.
    """
    kinds = [layer.media_type for layer in referrer.layers]
    if kinds != [RECORD_TYPE, MEMORY_TYPE] or referrer.layers[0].size > MAX_RECORD:
        raise UserError(f"The snapshot {referrer.manifest.digest} is not one that bentofn wrote.")


def read_record(data: bytes, bento: str) -> ArrivedSnapshot:
    """Read what arrived with suspicion.

    Args:
        data: The record, whose digest was checked.
        bento: Digest of the bento that it must be of.

    Raises:
        UserError: It is none, or of another bento.
    """
    try:
        raw = json.loads(data)
        snapshot = Snapshot.from_record(Path("/"), canonical_json(raw["snapshot"]))
        sizes = tuple(raw["frames"])
        frames_of(snapshot.files, sizes)
        paths = [file.path for file in snapshot.files]
        if paths != sorted(set(paths)) or not all(map(_is_path, paths)):
            raise ValueError("paths")
        if snapshot.key.bento != bento or not snapshot.shareable:
            raise ValueError("key")
    except MALFORMED as error:
        raise UserError("A snapshot came with the bento that is none that could.") from error
    return ArrivedSnapshot(snapshot, sizes)


def unpack_arrived(home: Home, stage: Stage, tell: Callable[[str], None]) -> Snapshot | None:
    """Unpack the snapshot that came with the bento and fits, if there is one.

    Args:
        home: The home.
        stage: Where to; its key says what fits.
        tell: Told why one that came is not used.

    Raises:
        UserError: The disk is full or the home cannot be written.
    """
    store = Store(home)
    for referrer, candidate in arrived(store, stage.key.bento):
        problem = candidate.snapshot.key.mismatch(stage.key)
        if problem is None:
            blob = store.blob_path(referrer.layers[1].digest)
            unpacked = _unpack(candidate, blob, stage)
            if isinstance(unpacked, Snapshot):
                return unpacked
            problem = unpacked
        tell(f"the snapshot that came with {candidate.snapshot.origin.bento} {problem}")
    return None


def _unpack(candidate: ArrivedSnapshot, blob: Path, stage: Stage) -> Snapshot | str:
    """The snapshot, or what completes "the snapshot ...": why it is not used."""
    snapshot = replace(candidate.snapshot, path=stage.final)
    changed = what_changed(snapshot.mapped, trust_times=False)
    if changed is not None:
        return f"cannot be used: {changed}"
    size = data_size(snapshot.files)
    limit = size_limit()
    if limit and size > limit:
        return f"would take {size} bytes, and all may take {limit} (BENTOFN_SNAPSHOTS_MAX)"
    if size > shutil.disk_usage(stage.directory).free:
        return f"would take {size} bytes, more than the disk of {stage.final.parent} has free"
    with writing(stage.directory):
        try:
            read_frames(blob, snapshot.files, candidate.sizes, stage.directory)
        except UserError as error:
            _clear(stage.directory)
            return f"cannot be used: {error}"
        made = replace(snapshot, mapped=tuple(map(_as_here, snapshot.mapped)))
        stage.publish_as(made)
    return made


def _attached(store: Store, entry: Entry, key: SnapshotKey) -> Referrer | None:
    same = (each for each, found in arrived(store, entry.digest) if found.snapshot.key == key)
    return next(same, None)


def _record(snapshot: Snapshot, sizes: Sequence[int]) -> bytes:
    return canonical_json({"snapshot": json.loads(snapshot.record()), "frames": list(sizes)})


def _is_path(path: str) -> bool:
    parts = check_path(path)
    reserved = parts[0] in (RECORD, VERIFIED)
    return len(parts) <= 2 and not reserved and all(map(_NAME.fullmatch, parts))


def _as_here(file: MappedFile) -> MappedFile:
    """A file whose content was compared, with its time on this machine."""
    return replace(file, mtime_ns=Path(file.path).stat().st_mtime_ns)


def _clear(directory: Path) -> None:
    for each in directory.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
