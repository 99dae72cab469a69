from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bentofn.runtime.checkpoints.identity import GAP, Identity, Watch


class Process:
    """One that can be restored, and its clock."""

    def __init__(self) -> None:
        self.time = 1e9
        self.identity = Identity("100", "a boot")
        self.asked = 0

    def who(self) -> Identity:
        self.asked += 1
        return self.identity


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
def watch(process: Process) -> Watch:
    return Watch(process.who, lambda: process.time)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say when it was started")
def test_a_process_is_itself_and_no_other() -> None:
    assert Identity.now() == Identity.now()
    ticks = int(Identity.now().started) / os.sysconf("SC_CLK_TCK")
    assert 0 < ticks <= float(Path("/proc/uptime").read_text().split()[0])


@pytest.mark.parametrize("passed", [2 * GAP, 3600, -3600])
@pytest.mark.parametrize("identity", [Identity("200", "a boot"), Identity("100", "another")])
def test_a_restore_is_noticed_once(
    process: Process, watch: Watch, passed: float, identity: Identity
) -> None:
    """Whatever the clock of the machine says on which it is restored."""
    process.time += passed
    process.identity = identity
    assert watch.is_restored()
    assert not watch.is_restored()
    process.time += passed
    assert not watch.is_restored()


def test_a_pause_is_no_restore(process: Process, watch: Watch) -> None:
    process.time += 3600
    assert not watch.is_restored()


def test_who_is_asked_all_the_time_only_reads_the_clock(process: Process, watch: Watch) -> None:
    before = process.asked
    for _ in range(1000):
        process.time += GAP / 2
        assert not watch.is_restored()
    assert process.asked == before
