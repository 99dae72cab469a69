import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from bentofn.packager.home import Home, leftovers
from bentofn.packager.store import Descriptor, Store
from bentofn.packager.store.descriptors import BENTO_ARTIFACT, BENTO_CONFIG, MODEL_ARTIFACT
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ServiceContract

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(Home(tmp_path / "home"))


def put(store: Store, content: str, layers: tuple[bytes, ...] = ()) -> Descriptor:
    config = store.put_bytes(content.encode(), BENTO_CONFIG)
    return store.put_manifest(
        BENTO_ARTIFACT, config, [store.put_bytes(layer, "text/plain") for layer in layers]
    )


def age(store: Store) -> None:
    for blob in store.blobs.directory.iterdir():
        os.utime(blob, (1, 1))


def blobs(store: Store) -> set[str]:
    return {path.name for path in store.blobs.directory.iterdir()}


def test_the_store_is_an_oci_layout(store: Store) -> None:
    entry = store.add("bento", "greeter", "1", put(store, "{}", (b"layer",)), NOW)
    assert json.loads((store.path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((store.path / "index.json").read_bytes())
    assert index["schemaVersion"] == 2
    (descriptor,) = index["manifests"]
    assert descriptor["annotations"]["org.opencontainers.image.ref.name"] == "greeter:1"
    assert descriptor["annotations"]["org.opencontainers.image.created"] == NOW.isoformat()
    assert descriptor["artifactType"] == BENTO_ARTIFACT
    manifest = store.blob_path(descriptor["digest"]).read_bytes()
    assert len(manifest) == descriptor["size"]
    assert b"2026" not in manifest
    assert entry.size == len(manifest) + len(b"{}") + len(b"layer")


def test_a_bento_comes_back(store: Store) -> None:
    bento = BentoManifest("greeter", "1", ServiceContract("g", "s:G"), "3.11", "linux/amd64")
    layer = store.put_bytes(b"x", "text/plain")
    entry = store.add_bento(bento, [layer], NOW)
    assert store.bento(store.get("bento", "greeter")) == bento
    assert [info.digest for info in store.layers(entry)] == [layer.digest]


def test_latest_is_the_newest(store: Store) -> None:
    for day, version in enumerate(["b", "c", "a"]):
        store.add("bento", "x", version, put(store, version), NOW + timedelta(days=day))
    assert store.get("bento", "x").version == "a"
    assert store.get("bento", "x:latest").version == "a"
    assert store.get("bento", "x:c").version == "c"
    assert [entry.version for entry in store.list("bento")] == ["a", "c", "b"]


def test_of_the_same_time_the_later_is_the_newest(store: Store) -> None:
    for version in ("b", "a"):
        store.add("bento", "x", version, put(store, version), NOW)
    assert store.get("bento", "x").version == "a"


def test_adding_the_same_again_changes_nothing(store: Store) -> None:
    store.add("bento", "x", "1", put(store, "1"), NOW)
    index = (store.path / "index.json").stat()
    again = store.add("bento", "x", "1", put(store, "1"), NOW + timedelta(days=1))
    assert again.created == NOW
    assert (store.path / "index.json").stat().st_ino == index.st_ino


def test_making_an_older_one_again_makes_it_the_newest(store: Store) -> None:
    first = put(store, "1")
    store.add("bento", "x", "1", first, NOW)
    store.add("bento", "x", "2", put(store, "2"), NOW + timedelta(days=1))
    store.add("bento", "x", "1", first, NOW + timedelta(days=2))
    assert store.get("bento", "x").version == "1"
    assert len(store.list("bento")) == 2


def test_kinds_do_not_mix(store: Store) -> None:
    config = store.put_bytes(b"{}", "application/json")
    model = store.put_manifest(MODEL_ARTIFACT, config, [])
    store.add("model", "x", "1", model, NOW)
    assert store.list("bento") == []
    assert store.find("bento", "x") is None
    assert store.get("model", "x").digest == model.digest


@pytest.mark.parametrize(
    "tag", ["", ":", "a:", "-a", "a-", "a b", "a/b", "../x", "a:b:c", "a" * 64]
)
def test_a_bad_tag_is_refused(store: Store, tag: str) -> None:
    with pytest.raises(UserError, match="not a valid"):
        store.get("bento", tag)


def test_names_are_lowered(store: Store) -> None:
    assert store.add("bento", "Greeter", "V1", put(store, "1"), NOW).tag == "greeter:v1"
    assert store.get("bento", "GREETER:v1").name == "greeter"


def test_latest_is_no_version(store: Store) -> None:
    with pytest.raises(UserError, match="latest"):
        store.add("bento", "x", "latest", put(store, "1"), NOW)


def test_not_found_names_the_nearest(store: Store) -> None:
    store.add("bento", "greeter", "1", put(store, "1"), NOW)
    with pytest.raises(UserError, match="did you mean greeter"):
        store.get("bento", "greter")
    with pytest.raises(UserError, match="did you mean greeter:1"):
        store.get("bento", "greeter:7")
    with pytest.raises(UserError, match="There is no model greeter"):
        store.get("model", "greeter")


def test_a_manifest_whose_blobs_are_missing_is_not_added(store: Store) -> None:
    manifest = put(store, "1", (b"layer",))
    store.blobs.remove(store.put_bytes(b"layer", "").digest)
    with pytest.raises(UserError, match="missing"):
        store.add("bento", "x", "1", manifest, NOW)
    assert store.list("bento") == []


def test_gc_frees_what_nothing_reaches(store: Store) -> None:
    store.add("bento", "x", "1", put(store, "1", (b"shared", b"mine")), NOW)
    store.add("bento", "x", "2", put(store, "2", (b"shared",)), NOW)
    store.delete("bento", "x:1")
    assert store.gc().blobs == 0
    age(store)
    collected = store.gc()
    assert (collected.blobs, collected.busy) == (3, False)
    assert store.has(store.put_bytes(b"shared", "").digest)
    assert store.layers(store.get("bento", "x:2"))


def test_gc_leaves_what_was_put_again(store: Store) -> None:
    descriptor = store.put_bytes(b"x", "")
    age(store)
    assert store.put_bytes(b"x", "") == descriptor
    assert store.gc().blobs == 0


def test_gc_waits_for_no_build(store: Store) -> None:
    store.put_bytes(b"x", "")
    age(store)
    with store.using():
        assert store.gc().busy
    assert store.gc().blobs == 1


def test_gc_removes_nothing_when_a_manifest_is_damaged(store: Store) -> None:
    entry = store.add("bento", "x", "1", put(store, "1"), NOW)
    path = store.blob_path(entry.digest)
    path.chmod(0o600)
    path.write_bytes(b"{")
    age(store)
    before = blobs(store)
    with pytest.raises(UserError, match="damaged"):
        store.gc()
    assert blobs(store) == before - {path.name}


def test_put_file_copies_or_moves(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "weights"
    source.write_bytes(b"content")
    copied = store.put_file(source, "m")
    assert source.exists()
    assert copied.size == 7
    other = tmp_path / "other"
    other.write_bytes(b"another")
    moved = store.put_file(other, "m", move=True)
    assert not other.exists()
    assert store.blob_path(moved.digest).read_bytes() == b"another"
    assert store.put_file(source, "m", move=True) == copied
    assert not source.exists()


def test_a_moved_file_with_other_names_is_copied(store: Store, tmp_path: Path) -> None:
    source, other = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"content")
    other.hardlink_to(source)
    moved = store.put_file(source, "m", move=True)
    other.write_bytes(b"changed")
    assert store.blob_path(moved.digest).read_bytes() == b"content"


def test_a_truncated_blob_is_written_anew(store: Store) -> None:
    path = store.blob_path(store.put_bytes(b"content", "").digest)
    path.chmod(0o600)
    path.write_bytes(b"con")
    store.put_bytes(b"content", "")
    assert path.read_bytes() == b"content"


def test_a_missing_source_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing"):
        store.put_file(tmp_path / "nothing", "m")


def test_a_damaged_index_is_named(store: Store) -> None:
    (store.path / "index.json").write_text("{")
    with pytest.raises(UserError, match=r"index\.json"):
        store.list("bento")


def test_entries_of_other_tools_are_kept(store: Store) -> None:
    foreign = store.put_bytes(b"{}", "application/vnd.oci.image.manifest.v1+json")
    index = store.path / "index.json"
    raw = json.loads(index.read_bytes())
    raw["manifests"].append({**foreign.to_json(), "annotations": {"k": "v"}})
    index.write_text(json.dumps(raw))
    store.add("bento", "x", "1", put(store, "1"), NOW)
    assert store.list("bento")[0].name == "x"
    age(store)
    store.gc()
    assert store.has(foreign.digest)


_WRITER = """
import sys
from datetime import datetime, timezone
from pathlib import Path
from bentofn.packager.home import Home
from bentofn.packager.store import Store
store, worker = Store(Home(Path(sys.argv[1]))), sys.argv[2]
for number in range(10):
    with store.using():
        layers = [store.put_bytes(data, "m") for data in (b"shared", worker.encode())]
        config = store.put_bytes(f"{worker}-{number}".encode(), "c")
        manifest = store.put_manifest("application/vnd.bentofn.bento.v1+json", config, layers)
        now = datetime.now(timezone.utc)
        store.add("bento", f"w{worker}", str(number), manifest, now)
    store.gc(minimum_age=0.0)
"""


def test_processes_may_write_at_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    processes = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(home.path), str(worker)])
        for worker in range(3)
    ]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    store = Store(home)
    assert len(store.list("bento")) == 30
    for entry in store.list("bento"):
        assert all(store.has(layer.digest) for layer in store.layers(entry))
    assert leftovers(home) == []


_KILLED = """
import sys
from datetime import datetime, timezone
from pathlib import Path
from bentofn.packager.home import Home
from bentofn.packager.store import Store
store = Store(Home(Path(sys.argv[1])))
source = Path(sys.argv[2])
number = int(sys.argv[3])
print("open", flush=True)
while True:
    number += 1
    source.write_bytes(number.to_bytes(8, "big") * 100_000)
    layer = store.put_file(source, "m", move=number % 2 == 0)
    config = store.put_bytes(str(number).encode(), "c")
    manifest = store.put_manifest("application/vnd.bentofn.bento.v1+json", config, [layer])
    store.add("bento", "x", str(number), manifest, datetime.now(timezone.utc))
    print(number, flush=True)
"""


def test_a_kill_loses_nothing_that_was_done(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    done: list[int] = []
    chance = random.Random(7)
    for round_ in range(6):
        command = [sys.executable, "-c", _KILLED, str(home.path), str(tmp_path / "s"), str(round_)]
        command[-1] = str(round_ * 10_000)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            time.sleep(chance.uniform(0.0, 0.2))
            process.send_signal(signal.SIGKILL)
            done += [int(line) for line in process.stdout if line.endswith("\n")]
        store = Store(home)
        versions = {entry.version: entry for entry in store.list("bento")}
        assert {str(number) for number in done} <= set(versions)
        for entry in versions.values():
            (layer,) = store.descriptors(entry)
            content = int(entry.version).to_bytes(8, "big") * 100_000
            assert store.blob_path(layer.digest).read_bytes() == content
    assert done
    for path in leftovers(home):
        assert path.name.startswith(".bentofn-tmp-")
