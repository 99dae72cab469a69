"""Snapshots of bentos as this machine's platform would take them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from bentofn.adapters.local.bentos import LocalBento, resolve_bento
from bentofn.adapters.local.environment import instance_environment
from bentofn.adapters.local.interpreter import find_python
from bentofn.adapters.protocol import FunctionSpec
from bentofn.packager.code.gpu import names_gpu
from bentofn.packager.home import Home
from bentofn.packager.kept.first_use import FirstUse
from bentofn.packager.snapshot.criu.binary import find_criu
from bentofn.packager.snapshot.criu.kdat import ensure_kdat
from bentofn.packager.snapshot.host import this_host
from bentofn.packager.snapshot.mapped import what_changed
from bentofn.packager.snapshot.obtain import Subject, key_of, obtain, recall
from bentofn.packager.snapshot.snapshot import Snapshot
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.runtime.errors import UserError
from bentofn.runtime.kept.host import this_host as compiled_host

Report = Callable[[str], None]


@dataclass(frozen=True)
class Obtained:
    """A snapshot of a bento.

    Args:
        bento: The bento, unpacked.
        subject: What it is of.
        snapshot: It.
        taken: Whether it was made now.
    """

    bento: LocalBento
    subject: Subject
    snapshot: Snapshot
    taken: bool


def subject_of(home: Home, reference: str) -> tuple[LocalBento, Subject]:
    """A bento with nothing but what it declares: a function that sets no variables.

    Raises:
        UserError: There is no such bento, or it cannot run here.
    """
    bento = resolve_bento(home, reference)
    name = bento.manifest.name
    environment = instance_environment(FunctionSpec(name, bento.tag), bento)
    python = find_python(bento.manifest.python)
    declared = bento.manifest.envs
    subject = Subject(bento.tag, bento.digest, bento.root.path, python, environment, declared)
    return bento, subject


def take_snapshot(
    home: Home, reference: str, timeout: float, report: Report, *, again: bool = False
) -> Obtained:
    """Make sure of a bento's snapshot.

    Args:
        home: The home.
        reference: The bento.
        timeout: Seconds in which the service must reach its snapshot point, and again to be dumped.
        report: Told each step, and what the service writes.
        again: Whether one that is there is taken anew; if that fails it stays.

    Raises:
        UserError: There is none and none can be taken; the sentence says why.
    """
    bento, subject = subject_of(home, reference)
    criu = find_criu()
    ensure_kdat(criu)
    store = SnapshotStore(home)
    key = key_of(store, subject, criu)
    kept = recall(store, key, report)
    if kept is not None and not again:
        return Obtained(bento, subject, kept, taken=False)
    if kept is not None:
        store.refuse_if_used(kept)
    use = FirstUse(
        home, bento.digest, bento.root, bento.manifest, subject.python, subject.env,
        compiled_host(subject.env), names_gpu(bento.manifest.contract.config.get("resources")),
        report, threading.Event(),
    )  # fmt: skip
    if use.is_due():
        use.make()
    report(f"Taking a snapshot of {bento.tag}")
    snapshot = obtain(
        store, key, subject, criu, timeout, lambda _, line: report(line), report, again=again
    )
    return Obtained(bento, subject, snapshot, taken=True)


def why_not_here(snapshot: Snapshot) -> str | None:
    """Why no instance can be restored from a snapshot on this machine as it is now, or None."""
    host = snapshot.key.host.mismatch(this_host())
    if host is not None:
        return f"was taken {host}"
    try:
        criu = find_criu().version
    except UserError as error:
        return f"cannot be restored: {error}".rstrip(".")
    if criu != snapshot.key.criu:
        return f"was taken with CRIU {snapshot.key.criu}, and here is {criu}"
    changed = what_changed(snapshot.mapped)
    return changed and f"cannot be used: {changed}"
