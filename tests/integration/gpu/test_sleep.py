"""Instances that sleep with their GPU memory in host memory, on the real platform."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from instances import alive, eventually

from bentofn.adapters.local import daemon
from bentofn.adapters.local.engines.restored.patience import RETRY_AFTER

if TYPE_CHECKING:
    from conftest import Machine

ROUNDS = int(os.environ.get("BENTOFN_TEST_ROUNDS", "20"))


def asleep(machine: Machine, name: str = "a") -> int:
    """Wait until the only instance sleeps; its process."""
    eventually(lambda: machine.status(name).state == "zero")
    (found,) = machine.processes().items()
    assert found[1] == 0, "it has memory on the device"
    assert machine.status(name).snapshot == "checkpointed"
    return found[0]


def test_instances_answer_as_before_however_often_they_slept(machine: Machine) -> None:
    machine.deploy("a", idle_timeout=0.1)
    process = asleep(machine)  # also one that nobody has called
    first, drawn = machine.call("a", x=2.0), set()
    for _ in range(ROUNDS):
        assert asleep(machine) == process
        assert machine.call("a", x=2.0) == first
        assert machine.processes() == {process: 1 << 20}
        about = machine.call("a", "about")
        drawn |= {about["random"], about["numpy"], about["instance"]}
    assert len(drawn) == 3 * ROUNDS, "a random stream or a name was there twice"
    assert about["restored"] > ROUNDS
    assert machine.log("a").count("constructed") == 1


@pytest.mark.parametrize("call", ["Lock", "Checkpoint", "Restore", "Unlock"])
def test_whatever_the_driver_fails_with_the_next_start_is_a_plain_one(
    machine: Machine, call: str
) -> None:
    machine.deploy("a", idle_timeout=0.3)
    first = machine.call("a", x=2.0)
    before = asleep(machine)
    machine.cuda.fail(f"cuCheckpointProcess{call}=801")
    assert machine.call("a", x=2.0) == first  # the process goes on, or a new one has started
    eventually(lambda: not alive(before))
    eventually(lambda: machine.status("a").state == "zero")
    assert before not in machine.processes()
    assert "managed memory" in machine.log("a")
    machine.cuda.fail()
    assert machine.call("a", x=2.0) == first
    assert machine.log("a").count("constructed") >= 2


def test_one_that_was_started_right_after_a_failure_sleeps_later(
    machine: Machine, tmp_path: Path
) -> None:
    machine.cuda.fail("cuCheckpointProcessLock=801")
    machine.deploy("a", idle_timeout=0.1)
    eventually(lambda: machine.status("a").state == "zero")
    machine.cuda.fail()
    gate = tmp_path / "gate"
    with ThreadPoolExecutor() as threads:
        held = threads.submit(machine.call, "a", "hold", gate=str(gate))
        time.sleep(RETRY_AFTER[0])
        gate.touch()
        assert held.result(60) is True
    asleep(machine)


def test_a_driver_that_hangs_keeps_no_other_gpu_and_nobody_who_ends_the_instance(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_DEVICES", "2")
    machine.cuda.hang("cuCheckpointProcessCheckpoint")
    machine.deploy("a", idle_timeout=0.2)
    eventually(lambda: "cuCheckpointProcessCheckpoint" in machine.cuda.calls())
    assert machine.call("a", x=2.0) > 0
    eventually(lambda: len(machine.processes()) == 2)
    for process in machine.processes():
        os.kill(process, signal.SIGKILL)
    eventually(lambda: machine.status("a").state == "zero")


def test_one_that_ends_while_it_sleeps_is_not_waited_for(machine: Machine) -> None:
    machine.deploy("a", idle_timeout=0.2)
    first = machine.call("a", x=2.0)
    process = asleep(machine)
    os.kill(process, signal.SIGKILL)
    eventually(lambda: machine.status("a").snapshot != "checkpointed")
    assert machine.call("a", x=2.0) == first


def test_nothing_is_left_of_a_platform_that_stops_or_is_killed(machine: Machine) -> None:
    machine.deploy("a", idle_timeout=0.2)
    for how in ("stop", "kill"):
        asleep(machine)
        if how == "stop":
            daemon.stop(machine.home)
        else:
            endpoint = daemon.status(machine.home)
            assert endpoint is not None
            os.kill(endpoint.pid, signal.SIGKILL)
        eventually(lambda: not machine.processes())
        eventually(lambda: not controllers(machine))
        daemon.ensure_running(machine.home)
        machine.call("a", x=1.0)


def test_a_function_that_is_destroyed_or_replaced_leaves_no_sleeper(machine: Machine) -> None:
    machine.deploy("a", idle_timeout=0.2)
    first = asleep(machine)
    machine.deploy("a", idle_timeout=0.1)
    eventually(lambda: not alive(first))
    second = asleep(machine)
    machine.adapter.destroy("a")
    eventually(lambda: not alive(second))


def test_none_sleeps_where_the_setting_forbids_it(machine: Machine) -> None:
    machine.deploy("a", idle_timeout=0.2, snapshot="none")
    machine.call("a", x=1.0)
    eventually(lambda: machine.status("a").state == "zero")
    assert machine.processes() == {}


@pytest.mark.parametrize(
    ("most", "why"), [("1KiB", "too little host memory"), ("0", "BENTOFN_CHECKPOINTS_MAX is 0")]
)
def test_none_sleeps_where_host_memory_may_not_be_taken(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, most: str, why: str
) -> None:
    monkeypatch.setenv("BENTOFN_CHECKPOINTS_MAX", most)
    machine.deploy("a", idle_timeout=0.2)
    machine.call("a", x=1.0)
    eventually(lambda: machine.status("a").state == "zero")
    assert machine.processes() == {}
    assert why in machine.status("a").note


def test_a_driver_without_checkpoints_is_said_and_the_function_works(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_VERSION", "12040")
    machine.deploy("a", idle_timeout=0.2)
    first = machine.call("a", x=2.0)
    eventually(lambda: machine.status("a").state == "zero")
    assert machine.processes() == {}
    assert "driver 570" in machine.status("a").note
    assert machine.call("a", x=2.0) == first


def controllers(machine: Machine) -> list[Path]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if b"bentofn.runtime.cuda.controller" in (process / "cmdline").read_bytes():
                environment = (process / "environ").read_bytes()
                if os.fsencode(machine.home.path) in environment or (
                    os.fsencode(machine.cuda.log) in environment
                ):
                    found.append(process)
        except OSError:
            continue
    return found
