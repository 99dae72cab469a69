"""The snapshot of a zygote: an environment's packages, imported, and nothing of any bento.

It stands among the others. In place of a bento's digest its key has the name of the packages, and
of the environment only what their modules look at (:mod:`bentofn.runtime.zygote.variables`): which
variables these are is known once the modules are imported, and kept with the memory.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bentofn.packager.files import atomic_write
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.host import this_host
from bentofn.packager.snapshot.key import (
    SnapshotKey,
    describe_interpreter,
    environment_digest,
    locale_of,
)
from bentofn.packager.snapshot.limit import size_limit
from bentofn.packager.snapshot.obtain import Progress, recall
from bentofn.packager.snapshot.parked import Log, StartsThreads, TakeFailed, parked_process
from bentofn.packager.snapshot.snapshot import Origin, Snapshot
from bentofn.packager.snapshot.stage import Stage
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.take import take_parked
from bentofn.runtime.layout import INTERPRETER_OPTIONS
from bentofn.runtime.manifest import canonical_json
from bentofn.runtime.protocol import Warmed
from bentofn.runtime.zygote.variables import that_matter

ATTEMPTS = 4
"""Zygotes that are started for one: each attempt leaves out a package that starts threads."""

_READ = "read.json"


@dataclass(frozen=True)
class Packages:
    """What functions must have in common to start from one zygote.

    Args:
        packages: Name of the layers that their packages come from.
        runtime: The tree of their runtime.
        python: Their interpreter.
    """

    packages: str
    runtime: Path
    python: Path


@dataclass(frozen=True)
class ZygoteSnapshot:
    """A zygote that is kept.

    Args:
        snapshot: It.
        read: The variables that its modules looked at.
    """

    snapshot: Snapshot
    read: frozenset[str]

    @property
    def tree(self) -> Path:
        """Where it imported the packages from: those of any bento that has them."""
        return _trees(self.snapshot)[1]


def zygote_name(packages: Packages) -> str:
    """What people call a zygote."""
    return f"zygote of {packages.packages[:16]}"


def zygote_command(packages: Packages, tree: Path, *options: str) -> list[str]:
    """The command line of a zygote.

    Args:
        packages: What it is for.
        tree: Where the packages stand.
        *options: Further options of the boot process.
    """
    boot = packages.runtime / "bentofn" / "runtime" / "boot.py"
    places = {"source": packages.runtime, "runtime": packages.runtime, "env": tree}
    command = [str(packages.python), *INTERPRETER_OPTIONS, str(boot), "zygote"]
    command += [part for name, path in places.items() for part in (f"--{name}", str(path))]
    return [*command, *options]


def recall_zygote(
    store: SnapshotStore,
    packages: Packages,
    environment: Mapping[str, str],
    criu: Criu,
    tell: Progress,
) -> ZygoteSnapshot | None:
    """The zygote that is kept for a function with these packages and this environment.

    Args:
        store: Where.
        packages: The function's.
        environment: The function's.
        criu: What restores it.
        tell: Told why one cannot be used.

    Raises:
        UserError: The interpreter does not run, or the home cannot be written.
    """
    for each in _kept(store, packages):
        key = _key(store, packages, each.tree, that_matter(environment, each.read), criu)
        if each.snapshot.key == key and recall(store, key, tell) is not None:
            return each
    return None


def take_zygote(
    store: SnapshotStore,
    packages: Packages,
    tree: Path,
    environment: Mapping[str, str],
    criu: Criu,
    timeout: float,
    log: Log,
    tell: Progress,
    called_off: threading.Event,
) -> ZygoteSnapshot:
    """The zygote that is kept for a function, else a new one. Blocks.

    Args:
        store: As for :func:`recall_zygote`, with ``packages`` and ``environment``.
        tree: Where the function's packages stand.
        criu: What dumps it.
        timeout: Seconds in which the packages must be imported, and again for the dump.
        log: Told what the zygote writes.
        tell: Told what is done.
        called_off: Set from another thread when nobody wants it any more.

    Raises:
        SnapshotRefused: The packages cannot be kept.
        TakeFailed: No snapshot was taken.
        UserError: The disk is full or the home cannot be written.
    """
    limit = size_limit()
    # What the modules look at is known once they are imported, so it may take two.
    for _ in range(ATTEMPTS):
        kept = recall_zygote(store, packages, environment, criu, tell)
        if kept is not None:
            return kept
        read = frozenset[str]().union(*(each.read for each in _kept(store, packages)))
        started_with = that_matter(environment, read)
        key = _key(store, packages, tree, started_with, criu)
        with store.stage(key, tell, called_off) as stage:
            if key in (each.snapshot.key for each in _kept(store, packages)):
                continue  # another process has just made it
            taking = _Taking(packages, tree, started_with, timeout, log, called_off)
            snapshot = taking.take(stage, criu, tell)
        store.trim(limit, keep=(snapshot.path,))
    raise TakeFailed("its packages look at other variables each time that they are imported")


def orphaned_zygotes(store: SnapshotStore) -> list[Snapshot]:
    """The zygotes of packages that no bento of the home has any more."""
    return [
        each
        for each in store.list()
        if (each.path / _READ).exists() and not all(path.is_dir() for path in _trees(each))
    ]


@dataclass
class _Taking:
    """One zygote that is started to be kept."""

    packages: Packages
    tree: Path
    env: Mapping[str, str]
    timeout: float
    log: Log
    called_off: threading.Event
    read: tuple[str, ...] = ()

    def take(self, stage: Stage, criu: Criu, tell: Progress) -> Snapshot:
        began = time.monotonic()
        without: list[str] = []
        while True:
            try:
                taken = take_parked(
                    lambda wire: self._parked(wire, without),
                    criu, stage.directory, stage.final, self.timeout, called_off=self.called_off,
                )  # fmt: skip
                break
            except StartsThreads as error:
                if error.package in without or len(without) + 1 >= ATTEMPTS:
                    raise
                without.append(error.package)
                tell(f"zygote of {self.tree.name}: {error.package} starts threads and is left out")
        atomic_write(stage.directory / _READ, canonical_json(list(self.read)), 0o600)
        seconds = round(time.monotonic() - began, 3)
        name = zygote_name(self.packages)
        snapshot = stage.publish(
            Origin(name, seconds=seconds, mappings=taken.images.mappings), taken.mapped
        )
        size = f"{snapshot.disk_size / 1e6:.0f} MB"
        tell(f"{name} is kept as the snapshot {snapshot.id[:12]}, {size}, {seconds:.1f} s")
        return snapshot

    @contextmanager
    def _parked(self, wire: Path, without: list[str]) -> Iterator[int]:
        options = ("--without", ",".join(without), "--wire", os.fspath(wire))
        command = zygote_command(self.packages, self.tree, *options)
        with parked_process(command, self.env, self.timeout, self.log, self.called_off) as found:
            pid, said = found
            assert isinstance(said, Warmed)
            self.read = tuple(sorted(said.read))
            yield pid


def _kept(store: SnapshotStore, packages: Packages) -> list[ZygoteSnapshot]:
    """The zygotes of these packages that are kept, whatever they were started with."""
    found = []
    for snapshot in store.of_bento(packages.packages):
        try:
            names = json.loads((snapshot.path / _READ).read_bytes())
        except (OSError, ValueError):
            continue  # removed meanwhile, or damaged
        if isinstance(names, list) and all(path.is_dir() for path in _trees(snapshot)):
            found.append(ZygoteSnapshot(snapshot, frozenset(map(str, names))))
    return found


def _trees(snapshot: Snapshot) -> tuple[Path, Path]:
    """The trees that a zygote imported its modules from: of the runtime, and of the packages."""
    runtime, _, tree = snapshot.key.root.partition(os.pathsep)
    return Path(runtime), Path(tree)


def _key(
    store: SnapshotStore,
    packages: Packages,
    tree: Path,
    environment: Mapping[str, str],
    criu: Criu,
) -> SnapshotKey:
    return SnapshotKey(
        bento=packages.packages,
        root=os.pathsep.join((str(packages.runtime), str(tree))),
        python=describe_interpreter(packages.python),
        torch="",  # it is one of the packages
        host=this_host(),
        criu=criu.version,
        environment=environment_digest(store.home, environment, {}),
        locale=locale_of(environment),
    )
