from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.renew import clocks, renew
from bentofn.runtime.renew.clocks import Moment

SECONDS = st.floats(0, 1e9)


@given(SECONDS, SECONDS, SECONDS, SECONDS)
def test_the_clock_is_behind_by_what_it_did_not_count(
    wall: float, monotonic: float, passed: float, counted: float
) -> None:
    since = Moment(wall, monotonic)
    now = Moment(wall + passed, monotonic + counted)
    assert now.behind(since) == pytest.approx(passed - counted, abs=1e-3)


def test_a_wall_clock_that_was_set_back_says_nothing() -> None:
    assert Moment(500.0, 70.0).behind(Moment(1000.0, 70.0)) == 0


def test_another_boot_takes_no_time_away() -> None:
    since = Moment(wall=1000.0, monotonic=5000.0)
    assert Moment(wall=1060.0, monotonic=20.0).behind(since) == 5040.0


def test_a_clock_that_is_right_is_left_alone(forks: Any) -> None:
    def renewed() -> list[object]:
        before = _time_namespace()
        renew(clocks.find_clocks())
        return [before, _time_namespace()]

    [[before, after]] = forks(renewed, 1)
    assert before == after


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may set the clock of a process on")
@pytest.mark.skipif(not clocks.find_clocks(), reason="this kernel has no time namespaces")
@pytest.mark.parametrize("seconds", [3600.0, -100.5])
def test_a_clock_is_set_by_what_it_lacks(seconds: float, forks: Any) -> None:
    """As after an hour's sleep, and on a host that has run for longer than the first."""

    def renewed() -> list[float]:
        libc = clocks.ctypes.CDLL(None, use_errno=True)
        # A process that is not restored has no clock that is wrong: its past is made up.
        since = Moment.now()
        since = replace(since, monotonic=since.monotonic + seconds)
        monotonic, boot = time.monotonic(), time.clock_gettime(time.CLOCK_BOOTTIME)
        clocks._renew_clock(since, libc)
        return [time.monotonic() - monotonic, time.clock_gettime(time.CLOCK_BOOTTIME) - boot]

    for moved in forks(renewed, 1)[0]:
        assert moved == pytest.approx(seconds, abs=60)


def test_who_may_not_set_the_clock_says_so_and_goes_on(forks: Any, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def renewed() -> bool:
        with log.open("w") as file:
            os.dup2(file.fileno(), 2)
            clocks.sys.stderr = file
            if os.geteuid() == 0:
                os.setuid(65534)
            since = replace(Moment.now(), monotonic=time.monotonic() + 3600)
            clocks._renew_clock(since, clocks.ctypes.CDLL(None, use_errno=True))
        return True

    assert forks(renewed, 1) == [True]
    assert "the monotonic clock is 3600 s behind and cannot be set on" in log.read_text()


def _time_namespace() -> str:
    link = Path("/proc/self/ns/time")
    return str(link.readlink()) if link.exists() else ""
