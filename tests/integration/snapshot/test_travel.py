"""Snapshots go to a registry with their bento, and come back to where they fit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from oci_registry import BINARY, running

from bentofn.packager.environment.target import base_interpreter
from bentofn.packager.home import Home
from bentofn.packager.layers import LayerFile, put_layer
from bentofn.packager.roots.standing import root_of
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.digests import CHUNK
from bentofn.packager.snapshot.host import this_host
from bentofn.packager.snapshot.key import (
    SnapshotKey,
    describe_interpreter,
    environment_digest,
    locale_of,
)
from bentofn.packager.snapshot.layer import unpack_arrived
from bentofn.packager.snapshot.snapshot import Origin, Snapshot
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.verification import verify, why_unusable
from bentofn.packager.store import Entry, Store
from bentofn.packager.store.descriptors import SNAPSHOT
from bentofn.packager.store.referrers import referrers
from bentofn.runtime.manifest import BentoManifest, ServiceContract

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.skipif(
    BINARY is None, reason="docker-registry is not installed (apt-get install docker-registry)"
)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def entry(home: Home) -> Entry:
    """A bento, the same in every test."""
    store = Store(home)
    layers = [put_layer(store, [LayerFile("opt/bento/src/s.py", b"")], kind="code", title="code")]
    contract = ServiceContract("g", "s:G")
    bento = BentoManifest("greeter", "1", contract, "3.11", "linux/amd64", envs={"MODE": "fast"})
    return store.add_bento(bento, layers, datetime(2026, 1, 1, tzinfo=timezone.utc))


@pytest.fixture
def library(tmp_path: Path) -> Path:
    path = tmp_path / "libc.so.6"
    path.write_bytes(b"1")
    return path


@pytest.fixture
def key(home: Home, entry: Entry, criu: Criu) -> SnapshotKey:
    """Of the bento, here and now."""
    env = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return SnapshotKey(
        bento=entry.digest,
        root=str(root_of(home, entry.digest)),
        python=describe_interpreter(base_interpreter()),
        torch="",
        host=this_host(),
        criu=criu.version,
        environment=environment_digest(home, {**env, "MODE": "fast"}, {"MODE": "fast"}),
        locale=locale_of(os.environ),
    )


def take(home: Home, key: SnapshotKey, mapped: tuple[Path, ...] = ()) -> Snapshot:
    """A made-up snapshot: what goes to the registry does not depend on what the images say."""
    with SnapshotStore(home).stage(key) as stage:
        (images := stage.directory / "images").mkdir()
        (images / "core-1.img").write_bytes(b"core")
        with (images / "mem.raw").open("wb") as file:
            file.truncate(200 * CHUNK)
            os.pwrite(file.fileno(), os.urandom(CHUNK), 100 * CHUNK + 4096)
        return stage.publish(Origin("greeter:1", seconds=1.5, mappings=12), mapped)


def moved_away(home: Home) -> Path:
    """Another machine has the same paths, and nothing at them."""
    return home.path.rename(home.path.with_name("elsewhere"))


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def unpacked(home: Home, key: SnapshotKey) -> tuple[Snapshot | None, list[str]]:
    """What becomes of one that came and was removed since."""
    for snapshot in SnapshotStore(home).list():
        SnapshotStore(home).delete(snapshot)
    told: list[str] = []
    with SnapshotStore(home).stage(key) as stage:
        return unpack_arrived(home, stage, told.append), told


def test_one_that_fits_comes_with_its_bento(
    tmp_path: Path, registry: str, bentofn: Bentofn, home: Home, key: SnapshotKey, library: Path
) -> None:
    taken = take(home, key, (library,))
    target = f"{registry}/fits/greeter:1"
    pushed = bentofn("push", "greeter", target, "--snapshots", home=home.path)
    assert f"Packing the snapshot {taken.id[:12]}" in pushed.stderr
    original = moved_away(home) / "snapshots" / taken.id
    os.utime(library, (1, 1))  # another machine installed it at another time
    pulled = document(bentofn("pull", target, "--snapshots", "--json", home=home.path))
    assert pulled["snapshots"] == {"taken": [taken.id], "left": []}
    store = SnapshotStore(home)
    found = store.get(key)
    assert found is not None
    assert verify(found) is why_unusable(found) is None
    for file in taken.files:
        assert (found.path / file.path).read_bytes() == (original / file.path).read_bytes()
    assert found.disk_size < 3 * CHUNK
    assert found.path.stat().st_mode & 0o777 == 0o700
    assert (found.images / "mem.raw").stat().st_mode & 0o777 == 0o600


def test_nobody_gets_one_who_did_not_ask(
    registry: str, bentofn: Bentofn, home: Home, entry: Entry, key: SnapshotKey
) -> None:
    take(home, key)
    target = f"{registry}/unasked/greeter:1"
    bentofn("push", "greeter", target, "--snapshots", home=home.path)
    moved_away(home)
    bentofn("pull", target, home=home.path)
    assert referrers(Store(home), entry.digest, SNAPSHOT) == []


def test_one_for_each_class_of_hosts_and_only_that_which_fits(
    registry: str, bentofn: Bentofn, home: Home, key: SnapshotKey
) -> None:
    mine = take(home, key)
    features = tuple(sorted((*key.host.features, "avx9000")))
    other = take(home, replace(key, host=replace(key.host, features=features)))
    target = f"{registry}/classes/greeter:1"
    bentofn("push", "greeter", target, "--snapshots", home=home.path)
    moved_away(home)
    pulled = bentofn("pull", target, "--snapshots", home=home.path)
    assert f"The snapshot {mine.id[:12]} fits this machine." in pulled.stdout
    reason = "was taken on a CPU with avx9000, which this one lacks"
    assert f"Left there: the snapshot {other.id[:12]} {reason}." in pulled.stdout
    assert [each.id for each in SnapshotStore(home).list()] == [mine.id]
    found, told = unpacked(home, key)
    assert found is not None
    assert found.id == mine.id
    assert told == []


def test_another_place_is_told(
    tmp_path: Path, registry: str, bentofn: Bentofn, home: Home, key: SnapshotKey
) -> None:
    taken = take(home, key)
    target = f"{registry}/place/greeter:1"
    bentofn("push", "greeter", target, "--snapshots", home=home.path)
    there = tmp_path / "there"
    pulled = document(bentofn("pull", target, "--snapshots", "--json", home=there))
    assert pulled["snapshots"]["taken"] == []
    [left] = pulled["snapshots"]["left"]
    assert left["id"] == taken.id
    assert "the paths must be the same (BENTOFN_HOME)" in left["reason"]


def test_a_library_that_differs_there_is_told(
    registry: str, bentofn: Bentofn, home: Home, key: SnapshotKey, library: Path
) -> None:
    take(home, key, (library,))
    target = f"{registry}/library/greeter:1"
    bentofn("push", "greeter", target, "--snapshots", home=home.path)
    moved_away(home)
    status = library.stat()
    library.write_bytes(b"2")
    os.utime(library, ns=(status.st_atime_ns, status.st_mtime_ns))
    pulled = document(bentofn("pull", target, "--snapshots", "--json", home=home.path))
    assert "libc.so.6 is another than it was then" in pulled["snapshots"]["left"][0]["reason"]


def test_one_with_secrets_stays(
    registry: str, bentofn: Bentofn, home: Home, entry: Entry, key: SnapshotKey
) -> None:
    secret = environment_digest(home, {"TOKEN": "x"}, {})
    take(home, replace(key, environment=secret))
    target = f"{registry}/secret/greeter:1"
    refused = bentofn("push", "greeter", target, "--snapshots", home=home.path, check=False)
    assert refused.returncode == 1
    assert "has no snapshot that may leave this machine" in refused.stderr
    assert referrers(Store(home), entry.digest, SNAPSHOT) == []


def test_a_tampered_one_is_not_used(
    registry: str, bentofn: Bentofn, home: Home, entry: Entry, key: SnapshotKey
) -> None:
    take(home, key)
    target = f"{registry}/tampered/greeter:1"
    bentofn("push", "greeter", target, "--snapshots", home=home.path)
    moved_away(home)
    bentofn("pull", target, "--snapshots", home=home.path)
    [referrer] = referrers(Store(home), entry.digest, SNAPSHOT)
    blob = Store(home).blob_path(referrer.layers[1].digest)
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.seek(1000)
        file.write(b"tampered")
    found, told = unpacked(home, key)
    assert found is None
    assert told == [
        "the snapshot that came with greeter:1 cannot be used: images/mem.raw is damaged or was "
        "tampered with; have its maker push it again"
    ]
    assert SnapshotStore(home).list() == ()


def test_one_larger_than_all_may_be_is_not_unpacked(
    bentofn: Bentofn, home: Home, key: SnapshotKey, monkeypatch: pytest.MonkeyPatch, registry: str
) -> None:
    take(home, key)
    target = f"{registry}/large/greeter:1"
    bentofn("push", "greeter", target, "--snapshots", home=home.path)
    moved_away(home)
    bentofn("pull", target, "--snapshots", home=home.path)
    monkeypatch.setenv("BENTOFN_SNAPSHOTS_MAX", "1MiB")
    found, told = unpacked(home, key)
    assert found is None
    assert "BENTOFN_SNAPSHOTS_MAX" in told[0]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_key_covers_snapshots_too(
    tmp_path: Path, registry: str, bentofn: Bentofn, home: Home, key: SnapshotKey
) -> None:
    private, public = str(tmp_path / "key.pem"), str(tmp_path / "pub.pem")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    target = f"{registry}/signed/greeter:1"
    taken = take(home, key)
    bentofn("sign", "greeter", "--key", private, home=home.path)
    pushed = bentofn("push", "greeter", target, "--snapshots", home=home.path)
    assert "No signature of it covers the snapshot" in pushed.stderr
    elsewhere = moved_away(home)
    pull = ("pull", target, "--snapshots", "--verify-key", public, "--json")
    pulled = document(bentofn(*pull, home=home.path))
    assert pulled["snapshots"] == {"taken": [], "left": []}
    shutil.rmtree(home.path)
    elsewhere.rename(home.path)
    bentofn("sign", "greeter", "--key", private, home=home.path)
    verified = bentofn("verify", "greeter", "--key", public, home=home.path)
    assert "The signature covers the snapshot" in verified.stdout
    pushed = bentofn("push", "greeter", target, "--snapshots", home=home.path)
    assert "No signature" not in pushed.stderr
    moved_away(home)
    pulled = document(bentofn(*pull, home=home.path))
    assert pulled["snapshots"] == {"taken": [taken.id], "left": []}


def test_one_goes_into_a_file_and_out_of_it(
    tmp_path: Path, registry: str, bentofn: Bentofn, home: Home, entry: Entry, key: SnapshotKey
) -> None:
    taken = take(home, key)
    file = str(tmp_path / "greeter.bento")
    bentofn("push", "greeter", f"{registry}/file/greeter", "--snapshots", home=home.path)
    bentofn("export", "greeter", file, home=home.path)
    moved_away(home)
    imported = document(bentofn("import", file, "--snapshots", "--json", home=home.path))
    assert imported["snapshots"]["taken"] == [taken.id]
    found, _ = unpacked(home, key)
    assert found is not None
    shutil.rmtree(home.path)
    bentofn("import", file, home=home.path)
    assert referrers(Store(home), entry.digest, SNAPSHOT) == []
