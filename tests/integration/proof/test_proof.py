"""What must hold whatever is restored and however often.

Each test runs with every engine that the host has: ``template`` and, where there is a fit CRIU,
``criu``.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from instances import eventually
from proving import ENGINES, Deployed, kill, processes

from bentofn.adapters.local import daemon
from bentofn.adapters.local.isolation.memory import MemoryUse

AT_ONCE = 100
IN_A_ROW = {"criu": int(os.environ.get("BENTOFN_PROOF_STARTS", "250")), "template": 100}
"""Starts of one image in a row; a fork has less that could differ from the one before."""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_hundred_at_once_answer_differ_share_and_leave_nothing(
    deployed: Deployed, engine: str
) -> None:
    chosen = {"snapshot": engine, "concurrency": 1, "cpu": 1, "idle_timeout": 1.0}
    found = deployed.deploy(**chosen, max_instances=AT_ONCE)
    assert found.snapshot == engine, found.note
    deployed.at_zero()
    before = deployed.traces()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(deployed.draw, range(AT_ONCE)))
        used = [
            MemoryUse.of(instance.pid) for instance in deployed.status.instances if instance.pid
        ]
    assert {kind for kind, _ in answers} <= {"restored", "warm"}
    for streams in zip(*(streams for _, streams in answers), strict=True):
        assert len(set(streams)) == AT_ONCE
    assert used
    assert max(use.private for use in used) < 24 << 20  # it holds 100 MB
    deployed.at_zero()
    deployed.nothing_more_than(before)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_in_a_row_each_killed_in_its_turn_all_differ_and_nothing_is_left(
    deployed: Deployed, engine: str
) -> None:
    found = deployed.deploy(snapshot=engine, cpu=1, memory=512, idle_timeout=1.0, concurrency=1)
    assert found.snapshot == engine, found.note
    deployed.at_zero()
    deployed.draw(0)
    deployed.at_zero()
    before = deployed.traces()
    drawn = []
    for number in range(IN_A_ROW[engine]):
        kind, streams = deployed.draw(number)
        drawn.append(streams)
        assert kind == "restored"
        for instance in deployed.status.instances:
            kill(instance.pid)
    for streams in zip(*drawn, strict=True):
        assert len(set(streams)) == IN_A_ROW[engine]
    deployed.nothing_more_than(before)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["none", *ENGINES])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make namespaces for instances")
def test_a_hostile_instance_reaches_nobody(deployed: Deployed, engine: str) -> None:
    deployed.deploy(snapshot=engine, min_instances=2, concurrency=1)
    eventually(lambda: [i.state for i in deployed.status.instances] == ["ready"] * 2)
    sockets = daemon._socket_directory(deployed.home)
    assert list(sockets.glob("*/*.sock"))
    status, _, seen = deployed.call("spy", sockets=str(sockets), home=str(deployed.home.path))
    assert status == 200, seen
    assert seen == {
        "others": [1],
        "reached": [],
        "killed": "nobody",
        "sockets": [],
        "run": [],
        "snapshots": [] if engine == "criu" else seen["snapshots"],
        "deployments": 0,
        "limits": "refused",
        "system": "refused",
        "unmounted": -1,
    }
    assert [i.state for i in deployed.status.instances] == ["ready"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["none", *ENGINES])
def test_an_instance_over_its_memory_is_ended_and_the_answer_says_so(
    deployed: Deployed, engine: str
) -> None:
    found = deployed.deploy(snapshot=engine, memory=256)
    if "not enforced" in found.note:
        pytest.skip(found.note)
    status, _, answer = deployed.call("grow", megabytes=400)
    assert status == 502
    assert "memory limit of 256 MiB (memorySize)" in answer["error"]
    assert any("memory limit of 256 MiB" in line.line for line in deployed.adapter.logs("proof"))
    assert deployed.call("grow", megabytes=20)[::2] == (200, 20 << 20)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["none", *ENGINES])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make namespaces for instances")
def test_what_a_service_started_ends_with_a_killed_platform(
    deployed: Deployed, engine: str
) -> None:
    deployed.deploy(snapshot=engine, memory=512)
    assert deployed.call("leave")[0] == 200
    assert processes("sleep 86399")
    kill(deployed.pid)
    eventually(lambda: not processes("sleep 86399"))
    eventually(lambda: not deployed.traces().processes)
    assert deployed.draw(3)
