"""GPU memory on disk: real CRIU, the driver stood in for."""

from __future__ import annotations

import os
import signal
from mmap import PAGESIZE
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from instances import alive, eventually

from bentofn.adapters.local import daemon
from bentofn.packager.snapshot.criu.rpc import Restored
from bentofn.packager.snapshot.criu.worker import prime

if TYPE_CHECKING:
    from conftest import Machine

    from bentofn.packager.snapshot.criu.binary import Criu


ROUNDS = int(os.environ.get("BENTOFN_TEST_ROUNDS", "5"))


@pytest.fixture
def on_disk(machine: Machine, criu: Criu, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine on which snapshots can be restored."""
    monkeypatch.delenv("BENTOFN_CRIU")
    return machine


def kept(machine: Machine) -> None:
    """Wait until there is a snapshot, and end what runs or sleeps."""
    eventually(lambda: machine.status("a").snapshot in ("criu", "checkpointed"))
    eventually(lambda: "took the snapshot" in machine.log("a"))
    forget(machine)


def forget(machine: Machine) -> None:
    for process in machine.processes():
        os.kill(process, signal.SIGKILL)
    eventually(lambda: not machine.processes() and machine.status("a").snapshot == "criu")


def test_instances_are_restored_from_disk_with_their_gpu_memory(on_disk: Machine) -> None:
    on_disk.deploy("a", gpu_snapshot=True)
    first = on_disk.call("a", x=2.0)
    kept(on_disk)
    constructed, drawn = on_disk.log("a").count("constructed"), set()
    for _ in range(ROUNDS):
        assert on_disk.call("a", x=2.0) == first
        assert list(on_disk.processes().values()) == [1 << 20]
        about = on_disk.call("a", "about")
        drawn |= {about["random"], about["numpy"]}
        forget(on_disk)
    assert len(drawn) == 2 * ROUNDS
    assert on_disk.log("a").count("constructed") == constructed
    assert on_disk.log("a").count("ready, restored") >= ROUNDS


def test_two_are_restored_at_once(on_disk: Machine, criu: Criu) -> None:
    """Though NVIDIA's library listens in both, at one name when the process was kept."""
    on_disk.deploy("a", gpu_snapshot=True)
    on_disk.call("a", x=2.0)
    kept(on_disk)
    (images,) = on_disk.home.snapshots.glob("*/images")
    workers = [prime(criu.command) for _ in range(2)]
    for worker in workers:
        worker.request(images)
    restored = [worker.response(images) for worker in workers]
    for worker in workers:
        worker.release()
        worker.wire.close()  # by which what was restored ends
    for each in restored:
        assert isinstance(each, Restored), each
        os.waitpid(each.pid, 0)


@pytest.mark.slow
def test_weights_are_not_on_the_disk_and_read_again(on_disk: Machine, tmp_path: Path) -> None:
    torch, safetensors = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    values = torch.randn(1 << 24)
    safetensors.save_file({"w": values}, tmp_path / "w.safetensors")
    on_disk.deploy("a", gpu_snapshot=True, weights=str(tmp_path / "w.safetensors"))
    first = on_disk.call("a", "sums")
    assert first == pytest.approx([float(values.double().sum())])
    kept(on_disk)
    marker = values[1000:1100].numpy().tobytes()
    for image in on_disk.home.snapshots.glob("*/images/*"):
        assert marker not in image.read_bytes(), image
    constructed, drawn = on_disk.log("a").count("constructed"), set()
    for _ in range(ROUNDS):
        assert on_disk.call("a", "sums") == first
        about = on_disk.call("a", "about")
        drawn |= {about["random"], about["numpy"]}
        forget(on_disk)
    assert len(drawn) == 2 * ROUNDS
    assert on_disk.log("a").count("constructed") == constructed


def test_large_memory_is_filled_from_a_file(on_disk: Machine) -> None:
    on_disk.deploy("a", gpu_snapshot=True, model=12 << 20)
    first = on_disk.call("a", x=2.0)
    kept(on_disk)
    (raw,) = on_disk.home.snapshots.glob("*/images/fill.raw")
    assert raw.stat().st_blocks * 512 >= 12 << 20
    constructed = on_disk.log("a").count("constructed")
    for _ in range(2):
        assert on_disk.call("a", x=2.0) == first
        forget(on_disk)
    assert on_disk.log("a").count("constructed") == constructed
    os.truncate(raw, PAGESIZE)
    assert on_disk.call("a", x=2.0) == first
    assert "fill.raw was changed" in on_disk.log("a")


def test_a_platform_that_starts_anew_has_it(on_disk: Machine) -> None:
    on_disk.deploy("a", gpu_snapshot=True)
    first = on_disk.call("a", x=2.0)
    kept(on_disk)
    daemon.stop(on_disk.home)
    constructed = on_disk.log("a").count("constructed")
    daemon.ensure_running(on_disk.home)
    assert on_disk.call("a", x=2.0) == first
    assert on_disk.log("a").count("constructed") == constructed


def test_what_was_restored_sleeps_too(on_disk: Machine) -> None:
    on_disk.deploy("a", gpu_snapshot=True, idle_timeout=0.2)
    first = on_disk.call("a", x=2.0)
    kept(on_disk)
    assert on_disk.call("a", x=2.0) == first
    eventually(lambda: machine_sleeps(on_disk))
    assert on_disk.call("a", x=2.0) == first


def machine_sleeps(machine: Machine) -> bool:
    return machine.status("a").snapshot == "checkpointed" and set(machine.processes().values()) == {
        0
    }


@pytest.mark.parametrize("call", ["Restore", "Unlock"])
def test_a_restore_that_fails_leaves_no_process_and_the_start_is_a_plain_one(
    on_disk: Machine, call: str
) -> None:
    on_disk.deploy("a", gpu_snapshot=True)
    first = on_disk.call("a", x=2.0)
    kept(on_disk)
    on_disk.cuda.fail(f"cuCheckpointProcess{call}=999")
    assert on_disk.call("a", x=2.0) == first
    assert len(on_disk.processes()) == 1
    assert "ready, cold" in on_disk.log("a").rpartition("was not started")[2]


def test_a_process_that_cannot_be_taken_out_is_not_kept(on_disk: Machine) -> None:
    on_disk.deploy("b", snapshot="none")
    on_disk.cuda.fail("cuCheckpointProcessCheckpoint=801")
    on_disk.deploy("a", gpu_snapshot=True)
    on_disk.call("a", x=2.0)
    eventually(lambda: "managed memory" in on_disk.status("a").note)
    assert on_disk.status("a").snapshot == "none"
    assert all(alive(pid) for pid in on_disk.processes())
