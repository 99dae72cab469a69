from __future__ import annotations

from dataclasses import replace

from bentofn.packager.home import Home
from bentofn.packager.snapshot.key import SnapshotKey
from bentofn.packager.snapshot.obtain import misfits
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
