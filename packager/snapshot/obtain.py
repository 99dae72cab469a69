"""The snapshot of a bento on this machine: kept, come with the bento, or new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.host import this_host
from bentofn.packager.snapshot.key import (
    SnapshotKey,
    describe_interpreter,
    environment_digest,
    locale_of,
    torch_version,
)
from bentofn.packager.snapshot.layer import unpack_arrived
from bentofn.packager.snapshot.limit import size_limit
from bentofn.packager.snapshot.parked import Log
from bentofn.packager.snapshot.snapshot import Origin, Snapshot
from bentofn.packager.snapshot.stage import Stage
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.take import take
from bentofn.packager.snapshot.verification import why_unusable
from bentofn.runtime.cuda.controller import Controller
from bentofn.runtime.layout import BentoRoot

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """What a snapshot is taken of.

    Args:
        tag: The bento's tag, for people.
        digest: The bento's digest.
        root: Its root.
        python: The interpreter.
        env: The whole environment of the service.
        declared: The variables that the bento itself declares.
        warmable: Whether an instance that has served may be kept in place of the first snapshot.
        device: Takes its memory off the GPU, and puts it back; None where it may have none there.
    """

    tag: str
    digest: str
    root: Path
    python: Path
    env: Mapping[str, str]
    declared: Mapping[str, str]
    warmable: bool = False
    device: Controller | None = None


def key_of(store: SnapshotStore, subject: Subject, criu: Criu) -> SnapshotKey:
    """What a snapshot of this subject, on this machine, is kept by.

    Raises:
        UserError: The interpreter does not run, or the home cannot be written.
    """
    return SnapshotKey(
        bento=subject.digest,
        root=str(subject.root),
        python=describe_interpreter(subject.python),
        torch=torch_version(BentoRoot(subject.root)),
        host=this_host(),
        criu=criu.version,
        environment=environment_digest(store.home, subject.env, subject.declared),
        locale=locale_of(subject.env),
    )


def recall(store: SnapshotStore, key: SnapshotKey, tell: Progress) -> Snapshot | None:
    """The snapshot that is kept; one that cannot be used any more is removed.

    Args:
        store: Where.
        key: Its key.
        tell: Told why it cannot be used.

    Raises:
        UserError: It cannot be removed.
    """
    kept = store.get(key)
    if kept is None:
        if store.path_of(key) in store.unreadable():
            tell(f"the snapshot {key.id[:12]} cannot be read: another version of bentofn made it")
        return None
    damage = why_unusable(kept)
    if damage is None:
        return kept
    tell(f"the snapshot {kept.id[:12]} cannot be used: {damage}")
    store.delete(kept, force=True)
    return None


def misfits(store: SnapshotStore, key: SnapshotKey) -> list[str]:
    """Why snapshots of the same bento in the same environment do not fit here, a sentence each."""
    wanted = (key.environment, key.locale, key.warmed)
    others = ((each.id, each.key) for each in store.of_bento(key.bento))
    return [
        f"the snapshot {id_[:12]} {reason}"
        for id_, other in others
        if (other.environment, other.locale, other.warmed) == wanted
        and (reason := other.mismatch(key)) is not None
    ]


def obtain(
    store: SnapshotStore,
    key: SnapshotKey,
    subject: Subject,
    criu: Criu,
    timeout: float,
    log: Log,
    tell: Progress,
    called_off: threading.Event | None = None,
    *,
    again: bool = False,
) -> Snapshot:
    """The snapshot that is kept, else one that came with the bento, else a new one.

    Blocks, for as long as a start and a dump take. Others are removed where all take too much.

    Args:
        store: Where it is kept.
        key: Of the subject, from :func:`key_of`.
        subject: What it is taken of.
        criu: What dumps it.
        timeout: Seconds, as for :func:`bentofn.packager.snapshot.take.take`.
        log: Told what the service writes meanwhile.
        tell: Told what is done, line by line.
        called_off: Set from another thread when nobody wants it any more.
        again: Whether a new one is taken in any case; what is kept is replaced when that is done.

    Raises:
        SnapshotRefused: The service cannot be kept as a snapshot.
        TakeFailed: No snapshot was taken.
        UserError: The disk is full or the home cannot be written.
    """
    limit = size_limit()
    kept = recall(store, key, tell) if not again else None
    if kept is not None:
        return kept
    for reason in misfits(store, key):
        tell(reason)
    with store.stage(key, tell, called_off) as stage:
        snapshot = None
        if not again:  # another process may have just taken it
            snapshot = recall(store, key, lambda _: None) or unpack_arrived(store.home, stage, tell)
        if snapshot is None:
            snapshot = _take(stage, subject, criu, timeout, log, tell, called_off)
    store.trim(limit, keep=(snapshot.path,))
    return snapshot


def _take(
    stage: Stage,
    subject: Subject,
    criu: Criu,
    timeout: float,
    log: Log,
    tell: Progress,
    called_off: threading.Event | None,
) -> Snapshot:
    began = time.monotonic()
    taken = take(
        subject.root, subject.python, subject.env, criu, stage.directory, stage.final, timeout,
        log, called_off, subject.device,
    )  # fmt: skip
    seconds = round(time.monotonic() - began, 3)
    origin = Origin(bento=subject.tag, seconds=seconds, mappings=taken.images.mappings)
    snapshot = stage.publish(origin, taken.mapped)
    if taken.note:
        tell(f"the first instance of the snapshot {snapshot.id[:12]} did not start: {taken.note}")
    tell(f"took the snapshot {snapshot.id[:12]} in {seconds:.1f} s; {_sizes(snapshot)}")
    return snapshot


def _sizes(snapshot: Snapshot) -> str:
    return f"{snapshot.disk_size / 1e6:.0f} MB, {snapshot.origin.mappings} mappings"
