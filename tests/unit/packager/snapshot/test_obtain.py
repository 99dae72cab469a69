from __future__ import annotations

from dataclasses import replace

from bentofn.packager.home import Home
from bentofn.packager.snapshot.key import SnapshotKey
from bentofn.packager.snapshot.obtain import misfits, recall
from bentofn.packager.snapshot.snapshot import Origin
from bentofn.packager.snapshot.store import SnapshotStore


def test_what_does_not_fit_any_more_is_told(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    old = replace(key, host=replace(key.host, kernel="5.10.0"))
    of_another_function = replace(key, environment="keyed:0")
    of_another_bento = replace(old, bento="sha256:" + "9" * 64)
    for each in (old, key, of_another_function, of_another_bento):
        with store.stage(each) as stage:
            stage.publish(Origin(), ())
    assert misfits(store, key) == [
        f"the snapshot {old.id[:12]} was taken on Linux 5.10.0, and this is 6.18.1"
    ]


def test_one_that_cannot_be_used_any_more_is_told_once_and_removed(
    home: Home, key: SnapshotKey
) -> None:
    store = SnapshotStore(home)
    with store.stage(key) as stage:
        (stage.directory / "mem.raw").write_bytes(b"memory")
        taken = stage.publish(Origin(), ())
    told: list[str] = []
    assert recall(store, key, told.append) == taken
    (taken.path / "mem.raw").write_bytes(b"Memory")
    assert recall(store, key, told.append) is None
    assert recall(store, key, told.append) is None
    assert told == [
        f"the snapshot {taken.id[:12]} cannot be used: mem.raw is not as it was when it was taken "
        "(damaged or tampered with)"
    ]


def test_one_of_another_version_is_told_and_stays_for_doctor(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    with store.stage(key) as stage:
        taken = stage.publish(Origin(), ())
    (taken.path / "snapshot.json").write_bytes(b'{"key": "of another kind"}')
    told: list[str] = []
    assert recall(store, key, told.append) is None
    assert told == [
        f"the snapshot {taken.id[:12]} cannot be read: another version of bentofn made it"
    ]
    assert store.unreadable() == (taken.path,)
