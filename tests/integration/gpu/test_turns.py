"""Functions that do not fit on one GPU together, on the real platform."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from instances import eventually

from bentofn.adapters.local import daemon

if TYPE_CHECKING:
    import subprocess

    from conftest import Machine

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]
MIB = 1 << 20


def test_functions_that_fit_only_by_turns_all_answer(machine: Machine) -> None:
    for name in ("a", "b", "c"):
        machine.deploy(name, model=9 * MIB)  # of 16
    first = {name: machine.call(name, x=1.0) for name in ("a", "b", "c")}
    for name in "abcacbbca":
        assert machine.call(name, x=1.0) == first[name]
        assert sorted(machine.processes().values()) == [0, 0, 9 * MIB]
    assert all(machine.log(name).count("constructed") == 1 for name in ("a", "b", "c"))


def test_functions_that_fit_together_stay(machine: Machine) -> None:
    for name in ("a", "b", "c"):
        machine.deploy(name, model=5 * MIB)
    for name in "abcabc":  # each sleeps once, so that it is known what it needs
        machine.call(name, x=1.0)
    assert sorted(machine.processes().values()) == [5 * MIB] * 3


def test_a_busy_one_is_let_finish_and_who_waits_has_its_turn(
    machine: Machine, tmp_path: Path
) -> None:
    daemon.start(machine.home, 0, speed=10)
    machine.deploy("a", model=9 * MIB)
    machine.deploy("b", model=9 * MIB)
    gate = tmp_path / "gate"
    with ThreadPoolExecutor() as threads:
        held = threads.submit(machine.call, "a", "hold", gate=str(gate))
        eventually(lambda: any(each.in_flight for each in machine.status("a").instances))
        waits = threads.submit(machine.call, "b", "predict", x=1.0)
        eventually(lambda: machine.status("a").instances[0].state == "retiring")
        eventually(lambda: "waits for a GPU that a (" in machine.status("b").note)
        assert "both wait until a request's timeout" in machine.log("b")
        assert not held.done()
        assert not waits.done()
        again = threads.submit(machine.call, "a", "about")
        gate.touch()
        assert held.result(60) is True
        assert waits.result(60) > 0
        assert again.result(60)["served"] == 0
    assert max(machine.log(name).count("constructed") for name in ("a", "b")) == 1
    assert not machine.status("b").note


def test_functions_have_gpus_of_their_own_by_uuid(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_FAKECUDA_DEVICES", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    for name in ("a", "b"):
        machine.deploy(name, model=9 * MIB)
        machine.call(name, x=1.0)
    given = {machine.call(name, "about")["gpus"] for name in "ab"}
    assert given == {f"GPU-00000000-0000-0000-0000-00000000000{number}" for number in (1, 2)}
    assert sorted(machine.processes().values()) == [9 * MIB] * 2


def test_many_at_once_by_turns(machine: Machine) -> None:
    for name in ("a", "b", "c"):
        machine.deploy(name, model=9 * MIB)
    first = {name: machine.call(name, x=1.0) for name in ("a", "b", "c")}
    with ThreadPoolExecutor(12) as threads:
        names = "abc" * 8
        answers = list(threads.map(lambda name: machine.call(name, x=1.0), names))
    assert answers == [first[name] for name in names]
    eventually(lambda: sum(machine.processes().values()) <= 16 * MIB)


def test_gpus_of_which_the_driver_tells_nothing_are_for_one_at_a_time(
    machine: Machine, bentofn: Bentofn
) -> None:
    machine.cuda.fail("cuDeviceTotalMem_v2=999")
    for name in ("a", "b"):
        machine.deploy(name)
    first = {name: machine.call(name, x=1.0) for name in "ab"}
    for name in "abba":
        assert machine.call(name, x=1.0) == first[name]
        eventually(lambda: len(machine.processes()) == 1)
    assert "tells of no GPU" in machine.status("a").note
    told = bentofn("emulator", "status", home=machine.home.path).stdout
    assert "GPU 0: its driver tells of no memory\n      has it  a (" in told


def test_a_function_that_wants_more_instances_than_fit_keeps_the_one_that_it_has(
    machine: Machine, tmp_path: Path
) -> None:
    daemon.start(machine.home, 0, speed=10)
    machine.deploy("a", model=9 * MIB, max_instances=2, concurrency=1)
    gate = tmp_path / "gate"
    with ThreadPoolExecutor() as threads:
        held = threads.submit(machine.call, "a", "hold", gate=str(gate))
        eventually(lambda: any(each.in_flight for each in machine.status("a").instances))
        waits = threads.submit(machine.call, "a", "about")
        eventually(lambda: len(machine.status("a").instances) == 2)
        time.sleep(0.5)  # more than PATIENCE of the platform's time
        gate.touch()
        assert held.result(60) is True
        assert waits.result(60)["restored"] == 1
    assert "ready, restored" not in machine.log("a")


def test_of_two_that_start_at_once_where_one_sleeps_one_wakes(
    machine: Machine, tmp_path: Path
) -> None:
    daemon.start(machine.home, 0, speed=10)
    machine.deploy("a", model=5 * MIB, max_instances=2, concurrency=1, idle_timeout=2.0)
    eventually(lambda: machine.status("a").state == "zero")
    machine.deploy("b", model=9 * MIB)
    gates = {name: str(tmp_path / name) for name in "ab"}
    with ThreadPoolExecutor() as threads:
        busy = threads.submit(machine.call, "b", "hold", gate=gates["b"])
        eventually(lambda: any(each.in_flight for each in machine.status("b").instances))
        held = [threads.submit(machine.call, "a", "hold", gate=gates["a"]) for _ in range(2)]
        eventually(lambda: len(machine.status("a").instances) == 2)
        Path(gates["b"]).touch()
        assert busy.result(60) is True
        eventually(lambda: sum(each.in_flight for each in machine.status("a").instances) == 2)
        Path(gates["a"]).touch()
        assert all(each.result(60) for each in held)
    assert "ready, restored" in machine.log("a")
    assert "was not woken" not in machine.log("a")
