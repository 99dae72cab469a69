"""What cannot be snapshotted or restored is said, and the function starts otherwise."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from proving import NO_CRIU, Deployed

from bentofn.adapters.local import daemon
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.snapshot.store import SnapshotStore

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow
with_criu = pytest.mark.skipif(NO_CRIU is not None, reason=str(NO_CRIU))

TIED = """
import socket, subprocess, threading, time
import bentofn

@bentofn.service(name="tied")
class Tied:
    def __init__(self) -> None:
        {what}

    @bentofn.api(examples=[{{"number": 1}}])
    def draw(self, number: int) -> dict:
        return {{"square": number * number, "streams": []}}
"""


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
    daemon.start(deployed.home, 0)
    deployed.draw(5)
    lines = [line.line for line in deployed.adapter.logs("proof")]
    assert any("mem.raw is not as it was when it was taken" in line for line in lines)


@with_criu
def test_a_full_disk_during_the_dump_is_said(deployed: Deployed) -> None:
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
        assert "full" in found.note
        deployed.draw(5)
    finally:
        deployed.adapter.destroy("proof")
        daemon.stop(deployed.home)
        subprocess.run(["umount", str(deployed.home.snapshots)], check=True)


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("threading.Thread(target=time.sleep, args=(600,), daemon=True).start()", "1 thread"),
        ("self.child = subprocess.Popen(['sleep', '600'])", "1 child process"),
        ("self.port = socket.create_server(('127.0.0.1', 0))", "listen"),
    ],
)
def test_what_cannot_be_snapshotted_is_said(
    deployed: Deployed, tmp_path: Path, bentofn: Bentofn, what: str, sentence: str
) -> None:
    (tmp_path / "service.py").write_text(TIED.format(what=what))
    (tmp_path / "bentofile.yaml").write_text("service: service:Tied\nname: tied\n")
    bentofn("build", str(tmp_path), home=deployed.home.path)
    chosen = FunctionSettings(snapshot="auto")
    deployed.adapter.apply(FunctionSpec("proof", "tied", chosen), lambda _: None)
    deployed.draw(5)
    found = deployed.status
    assert found.snapshot == "criu" or sentence in found.note, found.note
