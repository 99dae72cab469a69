"""What cannot be snapshotted or restored is said, and the function starts otherwise."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from instances import eventually
from proving import NO_CRIU, Deployed

from bentofn.adapters.local import daemon
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec, FunctionStatus
from bentofn.packager.snapshot.snapshot import RECORD
from bentofn.packager.snapshot.store import SnapshotStore

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow
with_criu = pytest.mark.skipif(NO_CRIU is not None, reason=str(NO_CRIU))

TIED = """
import os, socket, subprocess, threading, time
import bentofn

@bentofn.service(name="tied")
class Tied:
    def __init__(self) -> None:
        {what}

    @bentofn.api(examples=[{{"number": 1}}])
    def draw(self, number: int) -> dict:
        return {{"square": number * number, "streams": []}}
"""


def said(deployed: Deployed) -> str:
    """All that the function's log says."""
    return "\n".join(line.line for line in deployed.adapter.logs("proof"))


def starts_unrestored(deployed: Deployed) -> None:
    """The next request to a function at zero is answered, by an instance of no snapshot."""
    deployed.at_zero()
    assert deployed.draw(5)[0] in ("cold", "zygote")


@with_criu
def test_a_tampered_page_file_is_noticed_and_not_restored(deployed: Deployed) -> None:
    deployed.deploy(snapshot="auto", idle_timeout=0.5)
    daemon.stop(deployed.home)
    (snapshot,) = SnapshotStore(deployed.home).list()
    memory = snapshot.images / "mem.raw"
    assert memory.stat().st_mode & 0o777 == 0o600
    with memory.open("r+b") as file:
        start = os.lseek(file.fileno(), 0, os.SEEK_DATA)
        byte = os.pread(file.fileno(), 1, start)
        os.pwrite(file.fileno(), bytes([byte[0] ^ 1]), start)
    with deployed.home.lock(f"snapshot-{snapshot.id}"):  # until then nobody takes a new one
        daemon.start(deployed.home, 0)
        starts_unrestored(deployed)
    assert f"{snapshot.id[:12]} cannot be used: images/mem.raw is not as it was" in said(deployed)
    eventually(lambda: deployed.status.snapshot == "criu")  # a new one


@with_criu
def test_a_snapshot_from_another_type_of_cpu_is_said_and_not_restored(deployed: Deployed) -> None:
    deployed.deploy(snapshot="auto", idle_timeout=0.5)
    daemon.stop(deployed.home)
    store = SnapshotStore(deployed.home)
    (here,) = store.list()
    features = tuple(sorted((*here.key.host.features, "avx9000")))
    there = replace(here, key=replace(here.key, host=replace(here.key.host, features=features)))
    (here.path / RECORD).write_bytes(there.record())
    here.path.rename(store.path_of(there.key))
    with deployed.home.lock(f"snapshot-{here.id}"):  # until then nobody takes a new one
        daemon.start(deployed.home, 0)
        starts_unrestored(deployed)
    eventually(lambda: deployed.status.snapshot == "criu")  # a new one
    reason = "was taken on a CPU with avx9000, which this one lacks"
    assert f"the snapshot {there.id[:12]} {reason}" in said(deployed)
    assert {each.id for each in store.list()} == {here.id, there.id}
    store.delete(store.find(there.id))


@with_criu
def test_a_disk_without_room_for_the_snapshot_is_said(deployed: Deployed) -> None:
    store = SnapshotStore(deployed.home)
    for snapshot in store.list():
        store.delete(snapshot)
    deployed.home.directory(deployed.home.snapshots)
    mount = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(deployed.home.snapshots)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        found = deployed.deploy(snapshot="auto")
        assert found.snapshot == "template"
        assert (
            f"the disk of {deployed.home.snapshots} is too full: the snapshot needs" in found.note
        )
        assert deployed.draw(5)
    finally:
        deployed.adapter.destroy("proof")
        daemon.stop(deployed.home)
        subprocess.run(["umount", str(deployed.home.snapshots)], check=True)


LEFT = {
    "thread": (
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
        "the service keeps 1 thread",
    ),
    "program": (
        "self.child = subprocess.Popen(['sleep', '600'])",
        "the service keeps 1 child process (sleep from service.py:8 (Tied.__init__))",
    ),
    "fork": (
        "self.child = os.fork() or time.sleep(600)",
        "the service keeps 1 child process (python3",
    ),
    "socket": (
        "self.port = socket.create_server(('127.0.0.1', 0))",
        "the service keeps 1 connection (a listening socket from service.py:8 (Tied.__init__))",
    ),
}
NEVER = "'BENTOFN_FUNCTION' in os.environ and 'BENTOFN_INSTANCE' not in os.environ and os._exit(3)"
"""It ends in every process of a function that is not an instance yet."""


def tied(deployed: Deployed, folder: Path, bentofn: Bentofn, what: str) -> FunctionStatus:
    """Deploy a service that does this when it is constructed."""
    (folder / "service.py").write_text(TIED.format(what=what))
    (folder / "bentofile.yaml").write_text("service: service:Tied\nname: tied\n")
    bentofn("build", str(folder), home=deployed.home.path)
    chosen = FunctionSettings(snapshot="auto", idle_timeout=0.5)
    deployed.adapter.apply(FunctionSpec("proof", "tied", chosen), lambda _: None)
    return deployed.status


@pytest.mark.parametrize("kind", LEFT)
def test_what_cannot_be_snapshotted_is_said_and_started_plainly(
    deployed: Deployed, tmp_path: Path, bentofn: Bentofn, kind: str
) -> None:
    what, sentence = LEFT[kind]
    found = tied(deployed, tmp_path, bentofn, what)
    deployed.at_zero()
    if kind == "thread" and NO_CRIU is None:  # CRIU keeps threads
        assert (found.snapshot, found.note) == ("criu", "")
        assert deployed.draw(5)[0] == "restored"
    else:
        assert found.snapshot == "none"
        assert f"instances start plainly: {sentence}" in found.note
        starts_unrestored(deployed)


def test_a_service_that_never_reaches_its_snapshot_point_is_said_and_started_plainly(
    deployed: Deployed, tmp_path: Path, bentofn: Bentofn
) -> None:
    assert "no template: " in tied(deployed, tmp_path, bentofn, NEVER).note
    starts_unrestored(deployed)
    assert "no template: it exited with status 3 before it was ready" in said(deployed)
    sentence = "not restored from a snapshot: it exited with status 3 before its snapshot point"
    assert NO_CRIU or sentence in said(deployed)
