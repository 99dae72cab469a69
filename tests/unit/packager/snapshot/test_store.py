from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bentofn.packager.home import Home, leftovers
from bentofn.packager.snapshot.digests import CHUNK
from bentofn.packager.snapshot.key import SnapshotKey
from bentofn.packager.snapshot.snapshot import Origin, Snapshot
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.verification import verify, why_unusable
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import canonical_json


def take(
    home: Home, key: SnapshotKey, *, memory: bytes = b"m" * 10_000, mapped: tuple[Path, ...] = ()
) -> Snapshot:
    """A made-up snapshot: the store does not look into the images."""
    with SnapshotStore(home).stage(key) as stage:
        images = stage.directory / "images"
        images.mkdir()
        (images / "core-1.img").write_bytes(b"core")
        with (images / "mem.raw").open("wb") as file:
            file.truncate(8 * CHUNK)
            os.pwrite(file.fileno(), memory, 3 * CHUNK + 5)
        return stage.publish(Origin(bento="echo:1", seconds=1.5, mappings=12), mapped)


def test_what_was_taken_is_there_and_only_its_owners(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    assert store.get(key) is None
    assert store.list() == ()
    taken = take(home, key)
    assert store.get(key) == taken
    assert store.list() == (taken,)
    assert store.of_bento(key.bento) == (taken,)
    assert store.find(key.id[:8]) == taken
    assert verify(taken) is None
    assert why_unusable(taken) is None
    assert taken.shareable
    assert taken.size > 8 * CHUNK > taken.disk_size
    for path in (home.snapshots, taken.path, *taken.path.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)


def test_one_that_was_not_published_leaves_nothing(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    with store.stage(key) as stage:
        (stage.directory / "half").write_bytes(b"x")
    assert store.get(key) is None
    assert list(home.snapshots.iterdir()) == []


def test_two_that_take_the_same_do_it_one_after_the_other(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    told: list[str] = []
    found: list[Snapshot | None] = []

    def second() -> None:
        with store.stage(key, told.append):
            found.append(store.get(key))

    with store.stage(key) as stage:
        thread = threading.Thread(target=second)
        thread.start()
        while not told:
            thread.join(0.01)
        taken = stage.publish(Origin(), ())
    thread.join()
    assert found == [taken]


def test_one_that_is_called_off_does_not_wait_for_who_takes_the_same(
    home: Home, key: SnapshotKey
) -> None:
    store, called_off = SnapshotStore(home), threading.Event()

    def second() -> str:
        with pytest.raises(UserError) as refused, store.stage(key, None, called_off):
            pass
        return str(refused.value)

    with store.stage(key) as stage, ThreadPoolExecutor(1) as pool:
        said = pool.submit(second)
        called_off.set()
        assert said.result(20) == "It was called off."
        taken = stage.publish(Origin(), ())
    assert store.list() == (taken,)


def test_a_page_that_was_tampered_with_is_found(home: Home, key: SnapshotKey) -> None:
    taken = take(home, key)
    with (taken.images / "mem.raw").open("r+b") as file:
        file.seek(3 * CHUNK + 5)
        file.write(b"X")
    sentence = "images/mem.raw is not as it was when it was taken (damaged or tampered with)"
    assert verify(taken) == sentence
    assert why_unusable(taken) == sentence


def test_zeros_in_place_of_a_hole_are_the_same_memory(home: Home, key: SnapshotKey) -> None:
    taken = take(home, key)
    with (taken.images / "mem.raw").open("r+b") as file:
        file.write(bytes(CHUNK))
    assert verify(taken) is None


@pytest.mark.parametrize("name", ["core-1.img", "mem.raw"])
def test_a_file_that_is_gone_or_short_is_found(home: Home, key: SnapshotKey, name: str) -> None:
    taken = take(home, key)
    path = taken.images / name
    os.truncate(path, 1)
    assert "is not as it was" in str(why_unusable(taken))
    path.unlink()
    assert "cannot be read" in str(why_unusable(taken))


def test_bytes_are_read_again_after_a_boot(home: Home, key: SnapshotKey) -> None:
    taken = take(home, key)
    mark = taken.path / "verified"
    before = mark.read_bytes()
    mark.write_bytes(b'{"boot":"another"}')
    assert why_unusable(taken) is None
    assert mark.read_bytes() == before


def test_a_library_that_was_upgraded_since_refuses_it(
    home: Home, key: SnapshotKey, tmp_path: Path
) -> None:
    library = tmp_path / "libc.so.6"
    library.write_bytes(b"old")
    taken = take(home, key, mapped=(library, home.path / "unpacked" / "any.so"))
    assert [file.path for file in taken.mapped] == [str(library)]
    assert why_unusable(taken) is None
    os.utime(library, (1, 1))  # touched, and still the same
    assert why_unusable(taken) is None
    library.write_bytes(b"new")
    assert "libc.so.6 is another than it was then" in str(why_unusable(taken))
    library.unlink()
    assert "is gone" in str(why_unusable(taken))


def test_one_in_use_is_not_removed(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    taken = take(home, key)
    hold = store.hold(taken)
    assert hold is not None
    with pytest.raises(UserError, match="is in use"):
        store.delete(taken)
    assert store.trim(1) == ()
    hold.close()
    store.delete(taken)
    assert store.list() == ()
    assert store.hold(taken) is None
    store.delete(taken)  # again, it is no error


def test_force_removes_even_one_in_use(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    taken = take(home, key)
    with (taken.images / "mem.raw").open("rb") as mapped, store.hold(taken) or mapped:
        store.delete(taken, force=True)
        assert store.get(key) is None
        assert mapped.read(1) == b"\0"


def test_the_least_recently_used_go_first(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    taken = [take(home, replace(key, torch=str(i)), memory=os.urandom(CHUNK)) for i in range(3)]
    for age, snapshot in enumerate(taken):
        os.utime(snapshot.path, (1000 + age, 1000 + age))
    assert [s.id for s in store.list()] == [s.id for s in reversed(taken)]
    with store.hold(taken[0]) or pytest.fail("gone"):
        pass  # used now
    removed = store.trim(taken[0].disk_size + taken[2].disk_size)
    assert removed == (taken[1].path,)
    assert store.trim(0) == ()
    assert store.trim(1, keep=(taken[2].path,)) == (taken[0].path,)


def test_what_another_version_wrote_goes_too(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    taken = take(home, key)
    (taken.path / "snapshot.json").write_bytes(b'{"key": "of another kind"}')
    assert store.list() == ()
    assert store.trim(1) == (taken.path,)
    assert not taken.path.exists()


def test_one_from_before_privileges_counted_fits_nowhere(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    taken = take(home, key)
    record = json.loads(taken.record())
    del record["key"]["host"]["capabilities"]
    before = hashlib.sha256(canonical_json(record["key"])).hexdigest()[:32]  # as it was named then
    old = taken.path.rename(taken.path.with_name(before))
    (old / "snapshot.json").write_bytes(canonical_json(record))
    assert store.get(key) is None
    assert store.list() == ()
    assert store.unreadable() == (old,)


def test_a_damaged_record_is_no_snapshot_and_is_replaced(home: Home, key: SnapshotKey) -> None:
    store = SnapshotStore(home)
    taken = take(home, key)
    (taken.path / "snapshot.json").write_bytes(b"{")
    assert store.get(key) is None
    assert store.list() == ()
    again = take(home, key)
    assert store.get(key) == again
    assert verify(again) is None


def test_no_snapshot_begins_so(home: Home, key: SnapshotKey) -> None:
    with pytest.raises(UserError, match="There is no snapshot abc"):
        SnapshotStore(home).find("abc")


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(milliseconds=st.floats(0, 60))
def test_a_kill_at_any_moment_leaves_whole_ones_or_none(
    home: Home, key: SnapshotKey, milliseconds: float
) -> None:
    child = os.fork()
    if child == 0:
        try:
            for number in range(1000):
                take(home, replace(key, torch=str(number % 3)), memory=os.urandom(CHUNK))
        finally:
            os._exit(1)
    time.sleep(milliseconds / 1000)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    store = SnapshotStore(home)
    for snapshot in store.list():
        assert verify(snapshot) is None
        assert why_unusable(snapshot) is None
    taken = take(home, key)  # what the killed one left, a lock or a folder, is in nobody's way
    assert store.get(key) == taken
    assert leftovers(home) == []
    store.delete(taken)
