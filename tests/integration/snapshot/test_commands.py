"""`bentofn snapshot`, as a user runs it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from guarded import DOORS
from instances import PATIENCE, eventually

from bentofn.packager.home import Home, leftovers
from bentofn.packager.snapshot.criu.binary import Criu
from bentofn.packager.snapshot.criu.hot import HOT, load_hot_set
from bentofn.packager.snapshot.criu.rewrite import RAW
from bentofn.packager.snapshot.store import SnapshotStore
from bentofn.packager.snapshot.verification import verify

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

SERVICE = """
import bentofn

@bentofn.service
class Echo:
    def __init__(self):
        self.table = bytes(range(256)) * 4096

    @bentofn.api(examples=[{"text": "hi"}])
    def echo(self, text: str = "hello") -> str:
        return text
"""

FRAIL = """
import bentofn

@bentofn.service
class Frail:
    kept = True

    @bentofn.before_snapshot
    def close(self):
        self.kept = False

    @bentofn.api(examples=[{}])
    def ask(self) -> str:
        if not self.kept:
            raise RuntimeError("it was closed, and nobody opened it again")
        return "open"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, bentofn: Bentofn, criu: Criu) -> Home:
    """With a bento, `echo`."""
    folder = tmp_path_factory.mktemp("echo")
    (project := folder / "project").mkdir()
    (project / "service.py").write_text(SERVICE)
    (project / "bentofile.yaml").write_text("service: service:Echo\nname: echo\n")
    bentofn("build", str(project), home=folder / "home")
    return Home(folder / "home")


@pytest.fixture
def taken(home: Home, bentofn: Bentofn) -> dict[str, Any]:
    """Its snapshot."""
    return document(bentofn("snapshot", "take", "echo", "--json", home=home.path))


def document(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)


def holders(path: Path) -> list[Path]:
    """The descriptors of processes that have a file open."""
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if descriptor.readlink() == path:
                found.append(descriptor)
    return found


def test_it_is_taken_once(home: Home, bentofn: Bentofn, taken: dict[str, Any]) -> None:
    assert taken["mappings"] > 50
    assert taken["disk_size"] > 1 << 20
    assert taken["may_travel"]
    again = document(bentofn("snapshot", "take", "echo", "--json", home=home.path))
    assert (again["id"], again["taken"]) == (taken["id"], False)
    [listed] = document(bentofn("snapshot", "list", "echo", "--json", home=home.path))
    assert (listed["id"], listed["problem"]) == (taken["id"], None)
    assert taken["id"][:12] in bentofn("snapshot", "list", home=home.path).stdout
    anew = document(bentofn("snapshot", "take", "echo", "--again", "--json", home=home.path))
    assert (anew["id"], anew["taken"]) == (taken["id"], True)


def test_what_a_start_touches_is_part_of_it_and_first_in_the_file(
    home: Home, bentofn: Bentofn
) -> None:
    taken = document(bentofn("snapshot", "take", "echo", "--again", "--json", home=home.path))
    snapshot = SnapshotStore(home).find(taken["id"])
    assert HOT in {file.path for file in snapshot.files}
    hot = load_hot_set(snapshot.path)
    assert hot is not None
    memory = snapshot.images / RAW
    ranges = sorted(each for file in hot.files if file.path == memory for each in file.ranges)
    touched = sum(length for _, length in ranges)
    assert 1 << 20 < touched < memory.stat().st_blocks * 512
    descriptor = os.open(memory, os.O_RDONLY)
    behind = os.lseek(descriptor, ranges[-1][0] + ranges[-1][1], os.SEEK_DATA)
    os.close(descriptor)
    assert behind > 0, "what nobody touched stands behind it"


def test_one_that_does_not_answer_when_it_is_restored_is_refused(
    tmp_path: Path, bentofn: Bentofn, criu: Criu
) -> None:
    (project := tmp_path / "project").mkdir()
    (project / "service.py").write_text(FRAIL)
    (project / "bentofile.yaml").write_text("service: service:Frail\nname: frail\n")
    home = Home(tmp_path / "home")
    bentofn("build", str(project), home=home.path)
    done = bentofn("snapshot", "take", "frail", home=home.path, check=False)
    assert done.returncode == 1
    assert "what was restored from it did not answer" in done.stderr
    assert "(/ask) is answered with 500" in done.stderr
    assert SnapshotStore(home).list() == ()
    assert leftovers(home) == []


def test_the_old_one_stays_where_a_new_one_cannot_be_taken(
    tmp_path: Path, bentofn: Bentofn, criu: Criu
) -> None:
    (project := tmp_path / "project").mkdir()
    broken = tmp_path / "broken"
    check = f"__import__('os').path.exists({str(broken)!r})"
    service = SERVICE.replace(
        "self.table =", f"assert not {check}, 'it broke'\n        self.table ="
    )
    (project / "service.py").write_text(service)
    (project / "bentofile.yaml").write_text("service: service:Echo\nname: echo\n")
    home = Home(tmp_path / "home")
    bentofn("build", str(project), home=home.path)
    old = document(bentofn("snapshot", "take", "echo", "--json", home=home.path))
    broken.touch()
    done = bentofn("snapshot", "take", "echo", "--again", home=home.path, check=False)
    assert done.returncode == 1
    assert "it broke" in done.stderr
    (kept,) = SnapshotStore(home).list()
    assert (kept.id, kept.origin.created.isoformat()) == (old["id"], old["created"])
    assert verify(kept) is None
    assert leftovers(home) == []


@pytest.mark.parametrize("command", [("snapshot", "take"), ("bench", "cold-start")], ids="-".join)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_that_is_interrupted_leaves_nothing_that_runs(
    tmp_path: Path, bentofn: Bentofn, criu: Criu, command: tuple[str, ...], number: signal.Signals
) -> None:
    (project := tmp_path / "project").mkdir()
    begun = tmp_path / "begun"
    service = SERVICE.replace(
        "return text",
        f"""import os, threading
        if "BENTOFN_INSTANCE" in os.environ:
            with open({str(begun)!r}, "w"):
                threading.Event().wait()
        return text""",
    )
    (project / "service.py").write_text(service)
    (project / "bentofile.yaml").write_text("service: service:Echo\nname: echo\n")
    home = Home(tmp_path / "home")
    bentofn("build", str(project), home=home.path)
    running = subprocess.Popen(
        [sys.executable, "-m", "bentofn", *command, "echo"],
        env={**os.environ, "BENTOFN_HOME": str(home.path)},
        stderr=subprocess.DEVNULL,
    )
    eventually(begun.exists)
    running.send_signal(number)
    assert running.wait(PATIENCE) != 0
    eventually(lambda: not holders(begun))
    assert SnapshotStore(home).list() == ()


def test_of_two_that_want_one_one_takes_it(home: Home, bentofn: Bentofn) -> None:
    for snapshot in SnapshotStore(home).list():
        SnapshotStore(home).delete(snapshot)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(
            lambda _: bentofn("snapshot", "take", "echo", "--json", home=home.path), range(2)
        )
    assert document(one)["id"] == document(other)["id"]
    assert document(one)["created"] == document(other)["created"]
    assert len(SnapshotStore(home).list()) == 1
    assert leftovers(home) == []


def test_a_tampered_one_is_taken_anew(home: Home, bentofn: Bentofn, taken: dict[str, Any]) -> None:
    memory = Path(taken["path"], "images", "mem.raw")
    with memory.open("r+b") as file:
        start = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        byte = os.pread(file.fileno(), 1, start)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), start)
    done = bentofn("snapshot", "take", "echo", "--json", home=home.path)
    assert "images/mem.raw is not as it was when it was taken" in done.stderr
    assert document(done)["taken"]
    assert verify(SnapshotStore(home).find(taken["id"])) is None


def test_it_is_deleted_by_its_name_or_its_bento(
    home: Home, bentofn: Bentofn, taken: dict[str, Any]
) -> None:
    done = bentofn("snapshot", "delete", taken["id"][:8], home=home.path)
    assert f"Deleted the snapshot {taken['id'][:12]} of echo:" in done.stdout
    assert SnapshotStore(home).list() == ()
    bentofn("snapshot", "take", "echo", home=home.path)
    deleted = document(bentofn("snapshot", "delete", "echo", "--json", home=home.path))
    assert deleted["deleted"] == [taken["id"]]
    refused = bentofn("snapshot", "delete", "echo", home=home.path, check=False)
    assert "echo has no snapshot" in refused.stderr


def test_the_oldest_go_where_all_take_too_much(
    home: Home, bentofn: Bentofn, taken: dict[str, Any]
) -> None:
    environment = {"TZ": "Etc/GMT+1", "BENTOFN_SNAPSHOTS_MAX": "1MB"}
    other = document(bentofn("snapshot", "take", "echo", "--json", home=home.path, **environment))
    assert [each.id for each in SnapshotStore(home).list()] == [other["id"]]
    wrong = bentofn(
        "snapshot", "take", "echo", home=home.path, check=False, BENTOFN_SNAPSHOTS_MAX="much"
    )
    assert "BENTOFN_SNAPSHOTS_MAX is 'much', which is no size" in wrong.stderr


GUARDED = (
    DOORS
    + """
import bentofn

@bentofn.service(path_prefix="/v1")
class Echo:
    @bentofn.task(examples=[{"n": 4}])
    def later(self, n: int) -> int:
        return n

    @bentofn.api(examples=[{"root": "plain words"}])
    def text(self, text: str, /) -> str:
        with bentofn.monitor("texts") as monitor:
            monitor.log(text, "text", "feature", "categorical")
        assert text == "plain words"
        return text
"""
)


@pytest.mark.parametrize("guard", ["", "Echo.add_asgi_middleware(Doors)\n"])
def test_what_is_measured_is_asked_as_it_was_warmed_up_and_records_nothing(
    tmp_path: Path, bentofn: Bentofn, criu: Criu, guard: str
) -> None:
    (project := tmp_path / "project").mkdir()
    (project / "service.py").write_text(GUARDED + guard)
    (project / "bentofile.yaml").write_text("service: service:Echo\nname: echo\n")
    home = Home(tmp_path / "home")
    bentofn("build", str(project), home=home.path)
    # Below which a bento keeps its rows.
    state = {"HOME": str(tmp_path)}
    done = bentofn("bench", "cold-start", "echo", "-n", "1", "--json", home=home.path, **state)
    assert document(done)["path"] == "/v1/text"
    assert not list(tmp_path.rglob("data.*.log"))


def test_one_is_attached_to_its_bento(home: Home, bentofn: Bentofn) -> None:
    bentofn("snapshot", "take", "echo", "--attach", home=home.path)
    assert "the snapshot" in bentofn("get", "echo", home=home.path).stdout


def test_a_bento_takes_its_snapshots_with_it(
    tmp_path: Path, home: Home, bentofn: Bentofn, taken: dict[str, Any]
) -> None:
    file = str(tmp_path / "echo.bento")
    bentofn("export", "echo", file, home=home.path)
    bentofn("delete", "echo", home=home.path)
    assert SnapshotStore(home).list() == ()
    bentofn("import", file, home=home.path)
