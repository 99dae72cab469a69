"""Whoever is killed and whenever: the next request is answered, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from instances import eventually, parent_of
from proving import ENGINES, NO_CRIU, Deployed, afresh, kill, processes

from bentofn.adapters.local import daemon
from bentofn.packager.home import leftovers
from bentofn.packager.snapshot.store import SnapshotStore

VICTIMS = ("instance", "helper", "platform")
OF_A_DUMP = ("service", "dump", "rehearsal", "platform")
KILLS = int(os.environ.get("BENTOFN_PROOF_KILLS", "5"))
"""Examples of each test; 200 prove more and take some minutes for each."""

pytestmark = pytest.mark.slow


def victims_of(deployed: Deployed, kind: str) -> list[int]:
    """Processes of a kind: instances, what they are made by, or the platform."""
    platform = deployed.pid
    if kind == "platform" or platform is None:
        return [platform] if platform else []
    if kind == "instance":
        return [instance.pid for instance in deployed.status.instances if instance.pid]
    makers = (processes(mark) for mark in (" swrk ", " template ", " zygote "))
    return [pid for pids in makers for pid in pids if parent_of(pid) == platform]


def victims_of_a_dump(deployed: Deployed, kind: str) -> list[int]:
    """Processes of a kind while a snapshot is taken; the service's where it is another kind."""
    home = str(deployed.home.path)
    if kind == "rehearsal":
        if not list(deployed.home.snapshots.glob("*/rehearsal")):
            return []
        return [*processes("boot.py snapshot", home), *victims_of(deployed, "helper")]
    return processes(" dump " if kind == "dump" else "boot.py snapshot", home)


@pytest.mark.parametrize("engine", ENGINES)
def test_whoever_is_killed_the_next_request_is_answered_and_nothing_is_left(
    deployed: Deployed, engine: str
) -> None:
    found = deployed.deploy(snapshot="auto" if engine == "criu" else engine, idle_timeout=0.5)
    assert found.snapshot == engine, found.note
    afresh(deployed, engine)
    before = deployed.traces()

    @settings(max_examples=KILLS, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.sampled_from(VICTIMS), st.floats(0, 0.1)), min_size=1, max_size=3))
    def survives(kills: list[tuple[str, float]]) -> None:
        with ThreadPoolExecutor(1) as pool:
            for victim, moment in kills:
                asked = pool.submit(deployed.call, "draw", number=2)
                time.sleep(moment)  # the moment is what varies
                with contextlib.suppress(Exception):  # it may be the platform that has just gone
                    for pid in victims_of(deployed, victim):
                        kill(pid)
                with contextlib.suppress(HTTPException, OSError, ValueError):
                    asked.result()
        deployed.draw(7)

    survives()
    afresh(deployed, engine)
    afresh(deployed, engine)  # from what the first has prepared
    deployed.nothing_more_than(before)


@pytest.mark.skipif(NO_CRIU is not None, reason=str(NO_CRIU))
def test_a_killed_dump_leaves_nothing_and_requests_are_answered(deployed: Deployed) -> None:
    deployed.deploy(snapshot="auto", idle_timeout=0.5)
    afresh(deployed, "criu")
    before = deployed.traces()
    store = SnapshotStore(deployed.home)

    @settings(max_examples=KILLS, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(OF_A_DUMP), st.floats(0, 0.1))
    def survives(victim: str, moment: float) -> None:
        daemon.stop(deployed.home)
        for snapshot in store.list():
            store.delete(snapshot)
        daemon.start(deployed.home, 0)
        deployed.draw(1)
        eventually(lambda: victims_of_a_dump(deployed, victim) or store.list())
        time.sleep(moment)  # the moment is what varies
        find = victims_of if victim == "platform" else victims_of_a_dump
        for pid in find(deployed, victim):
            kill(pid)
        deployed.draw(2)

    survives()
    afresh(deployed, "criu")
    afresh(deployed, "criu")  # from the snapshot that is there now
    deployed.nothing_more_than(before)
    assert leftovers(deployed.home) == []
