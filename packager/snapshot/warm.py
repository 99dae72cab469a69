"""Snapshots of instances that have served: what they have become is part of every later start.

Only a service that declares its state warmable is kept so, for what earlier requests left in its
memory is there for all later callers, as it is in an instance that stays warm. There is one such
snapshot beside the first one, of the same bento in the same environment, and it never leaves the
machine.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.key import SnapshotKey
from bentofn.packager.snapshot.limit import size_limit
from bentofn.packager.snapshot.obtain import Progress, recall
from bentofn.packager.snapshot.snapshot import Origin, Snapshot
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.take import take_parked
from bentofn.runtime.manifest import ServiceContract


def is_warmable(contract: ServiceContract) -> bool:
    """Whether a service declares ``@bentofn.service(snapshot={"warmable": True})``."""
    return contract.config.get("snapshot", {}).get("warmable") is True


def recall_warmed(store: SnapshotStore, key: SnapshotKey, tell: Progress) -> Snapshot | None:
    """The snapshot of an instance that had served, if there is one and it can be used.

    Args:
        store: Where.
        key: That of the first snapshot.
        tell: Told why it cannot be used.
    """
    return recall(store, replace(key, warmed=True), tell)


def keep_warmed(
    store: SnapshotStore,
    key: SnapshotKey,
    tag: str,
    criu: Criu,
    park: Callable[[Path], AbstractContextManager[int]],
    timeout: float,
    tell: Progress,
    called_off: threading.Event,
) -> Snapshot:
    """Take a snapshot of an instance that has served, unless there is one. Blocks.

    Args:
        store: Where it is kept.
        key: That of the first snapshot.
        tag: The bento's.
        criu: What dumps it.
        park: As for :func:`bentofn.packager.snapshot.take.take_parked`.
        timeout: Seconds that the dump may take.
        tell: Told what is done.
        called_off: Set from another thread when the instance has ended.

    Raises:
        SnapshotRefused: The instance cannot be kept.
        TakeFailed: It could not be dumped.
        UserError: The disk is full or the home cannot be written.
    """
    limit = size_limit()
    with store.stage(replace(key, warmed=True), tell, called_off) as stage:
        kept = recall_warmed(store, key, lambda _: None)
        if kept is not None:
            return kept
        began = time.monotonic()
        taken = take_parked(park, criu, stage.directory, stage.final, timeout)
        seconds = round(time.monotonic() - began, 3)
        origin = Origin(bento=tag, seconds=seconds, mappings=taken.images.mappings)
        snapshot = stage.publish(origin, taken.mapped)
    store.trim(limit, keep=(snapshot.path,))
    tell(f"kept an instance that had served as the snapshot {snapshot.id[:12]}, {seconds:.1f} s")
    return snapshot
