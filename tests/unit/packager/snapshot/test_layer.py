from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentofn.packager.home import Home, leftovers
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.snapshot.key import SnapshotKey
from bentofn.packager.snapshot.layer import arrived, attach, read_record, unpack_arrived
from bentofn.packager.snapshot.snapshot import Origin, Snapshot
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.verification import verify
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.referrers import read_content, referrers
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract, canonical_json


@pytest.fixture
def entry(home: Home) -> Entry:
    store = Store(home)
    layers = [put_layer(store, [LayerFile("opt/bento/src/s.py", b"")], kind="code", title="code")]
    bento = BentoManifest("echo", "1", ServiceContract("e", "s:E"), "3.11", "linux/amd64")
    return store.add_bento(bento, layers, datetime(2026, 1, 1, tzinfo=timezone.utc))


@pytest.fixture
def snapshot(home: Home, key: SnapshotKey, entry: Entry) -> Snapshot:
    with SnapshotStore(home).stage(replace(key, bento=entry.digest)) as stage:
        (stage.directory / "images").mkdir()
        (stage.directory / "images" / "core-1.img").write_bytes(b"core")
        return stage.publish(Origin("echo:1"), ())


def test_the_same_again_changes_nothing(home: Home, entry: Entry, snapshot: Snapshot) -> None:
    store = Store(home)
    first = attach(store, entry, snapshot)
    assert attach(store, entry, snapshot) == first
    assert referrers(store, entry.digest) == [first]
    [(referrer, found)] = arrived(store, entry.digest)
    assert referrer == first
    assert found.snapshot.key == snapshot.key
    assert found.snapshot.files == snapshot.files


def test_one_that_is_not_for_others_is_refused(
    home: Home, entry: Entry, snapshot: Snapshot
) -> None:
    secret = replace(snapshot, key=replace(snapshot.key, environment="keyed:0"))
    with pytest.raises(UserError, match="stays on this machine"):
        attach(Store(home), entry, secret)


def record_of(store: Store, entry: Entry, snapshot: Snapshot) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(read_content(store, attach(store, entry, snapshot)))
    return record


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/x",
        "images/../../x",
        "snapshot.json",
        "verified",
        "a/b/c",
        "",
        "images/.hidden",
    ],
)
def test_a_path_that_leaves_the_folder_is_refused(
    home: Home, entry: Entry, snapshot: Snapshot, path: str
) -> None:
    raw = record_of(Store(home), entry, snapshot)
    raw["snapshot"]["files"][0]["path"] = path
    with pytest.raises(UserError, match="none that could"):
        read_record(canonical_json(raw), entry.digest)


def test_one_of_another_bento_or_with_secrets_is_refused(
    home: Home, entry: Entry, snapshot: Snapshot
) -> None:
    raw = record_of(Store(home), entry, snapshot)
    with pytest.raises(UserError, match="none that could"):
        read_record(canonical_json(raw), "sha256:" + "9" * 64)
    raw["snapshot"]["key"]["environment"] = "keyed:0"
    with pytest.raises(UserError, match="none that could"):
        read_record(canonical_json(raw), entry.digest)


def test_one_from_before_privileges_counted_is_refused(
    home: Home, entry: Entry, snapshot: Snapshot
) -> None:
    raw = record_of(Store(home), entry, snapshot)
    assert read_record(canonical_json(raw), entry.digest).snapshot.key == snapshot.key
    del raw["snapshot"]["key"]["host"]["capabilities"]
    with pytest.raises(UserError, match="none that could"):
        read_record(canonical_json(raw), entry.digest)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_other_record_is_refused_in_a_sentence(
    home: Home, entry: Entry, snapshot: Snapshot, data: st.DataObject
) -> None:
    raw: Any = record_of(Store(home), entry, snapshot)
    place = raw
    while data.draw(st.booleans()) and isinstance(place, dict | list) and place:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        name = data.draw(st.sampled_from(keys))
        if not isinstance(place[name], dict | list) or data.draw(st.booleans()):
            place[name] = data.draw(values)
            break
        place = place[name]
    with contextlib.suppress(UserError):
        read_record(json.dumps(raw).encode(), entry.digest)


def test_one_that_is_larger_than_the_disk_has_room_is_not_unpacked(
    home: Home, entry: Entry, snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    attach(Store(home), entry, snapshot)
    SnapshotStore(home).delete(snapshot)
    told: list[str] = []
    monkeypatch.setenv("BENTOFN_SNAPSHOTS_MAX", "1kB")
    with SnapshotStore(home).stage(snapshot.key) as stage:
        assert unpack_arrived(home, stage, told.append) is None
    assert "and all may take 1000 (BENTOFN_SNAPSHOTS_MAX)" in told[0]
    monkeypatch.delenv("BENTOFN_SNAPSHOTS_MAX")
    with SnapshotStore(home).stage(snapshot.key) as stage:
        assert unpack_arrived(home, stage, told.append) == snapshot


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(milliseconds=st.floats(0, 30))
def test_a_kill_while_it_is_unpacked_leaves_a_whole_one_or_none(
    home: Home, entry: Entry, snapshot: Snapshot, milliseconds: float
) -> None:
    attach(Store(home), entry, snapshot)
    store = SnapshotStore(home)
    child = os.fork()
    if child == 0:
        try:
            while True:
                with store.stage(snapshot.key) as stage:
                    unpack_arrived(home, stage, print)
                store.delete(snapshot)
        finally:
            os._exit(1)
    time.sleep(milliseconds / 1000)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for found in store.list():
        assert verify(found) is None
    with store.stage(snapshot.key) as stage:
        assert unpack_arrived(home, stage, print) is not None
    assert leftovers(home) == []
