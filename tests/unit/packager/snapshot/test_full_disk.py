"""A full disk: one sentence, and nothing left of the snapshot."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.packager.home import Home, leftovers
from bentofn.packager.snapshot.key import SnapshotKey
from bentofn.packager.snapshot.snapshot import Origin
from bentofn.packager.snapshot.stage import Stage
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.runtime.errors import UserError

SMALL = 1 << 20


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    (disk := tmp_path / "disk").mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        yield Home(disk / "home")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def fill_and_publish(stage: Stage) -> None:
    free = os.statvfs(stage.directory)
    (stage.directory / "mem.raw").write_bytes(os.urandom(free.f_bavail * free.f_frsize))
    stage.publish(Origin(), ())


def test_memory_that_does_not_fit(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    with pytest.raises(UserError, match=r"full.*BENTOFN_HOME"), store.stage(key) as stage:
        (stage.directory / "mem.raw").write_bytes(os.urandom(2 * SMALL))
    assert list(home.snapshots.iterdir()) == leftovers(home) == []
    with store.stage(key) as stage:
        (stage.directory / "mem.raw").write_bytes(b"small")
        taken = stage.publish(Origin(), ())
    assert store.get(key) == taken


def test_a_record_that_does_not_fit(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    with pytest.raises(UserError, match="full"), store.stage(key) as stage:
        fill_and_publish(stage)
    assert store.list() == ()
    assert leftovers(home) == []
