"""Timelines of made-up stages: what is within what, what nobody told of, and the trace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trace_events import slices_of

from bentofn.adapters.local.timeline.chrome import trace_events, write_trace
from bentofn.adapters.local.timeline.table import rows, untold
from bentofn.adapters.local.timeline.timeline import Telling, Timeline
from bentofn.runtime.stages import FILE, Stage, begin, end, since, stage

MILLISECOND = 1_000_000


def at(name: str, began: float, ended: float, process: int = 1, thread: int = 1) -> Stage:
    """A stage, in milliseconds."""
    times = round(began * MILLISECOND), round(ended * MILLISECOND)
    return Stage(name, *times, process, thread, f"thread {thread}")


def plain(began: float = 0.0, slower: float = 1.0) -> Timeline:
    platform = [at("process", began + 1, began + 3), at("request", began + 60, began + 64)]
    instance = [
        at("boot", began + 10, began + 20),
        at("construct.read", began + 22, began + 30 * slower, thread=1),
        at("construct", began + 21, began + 40 * slower),
        at("construct.read", began + 32 * slower, began + 33 * slower),
        at("answer", began + 61, began + 63),
    ]
    ends = round((began + 64) * MILLISECOND)
    return Timeline("plain", round(began * MILLISECOND), ends, platform, instance)


def test_rows_are_in_the_order_of_time_and_parts_follow_what_they_are_of() -> None:
    found = rows([plain(), plain(100), plain(200)])
    assert [each.path for each in found] == [
        ("process",), ("boot",), ("construct",), ("construct", "construct.read"), ("request",),
        ("answer",),
    ]  # fmt: skip
    assert found[2].took == 0.019
    assert found[2].began == 0.021
    assert found[3].took == 0.009  # both together


def test_what_nobody_tells_of_is_told() -> None:
    assert untold([plain()]) == 0.064 - 0.002 - 0.010 - 0.019 - 0.004


def test_the_interpreter_is_between_the_process_and_its_first_line(tmp_path: Path) -> None:
    telling = Telling("plain", tmp_path / "stages")
    with telling.listening(), stage("process"):
        pass
    begin(telling.variables)
    since("boot", telling._platform[0].ended + 5)
    end()
    timeline = telling.timeline(telling.began + 10**10)
    told = {each.name: each for each in timeline.instance}
    assert told["interpreter"].began == timeline.platform[0].ended
    assert told["interpreter"].ended == told["boot"].began
    assert told["interpreter"].thread == told["boot"].thread


def may_have_time_namespaces() -> bool:
    command = ["unshare", "--time", "true"]
    return shutil.which("unshare") is not None and not subprocess.call(
        command, stderr=subprocess.DEVNULL
    )


@pytest.mark.parametrize("seconds", [-5, 3600])
def test_a_restored_process_with_a_monotonic_clock_of_its_own_is_told_of(
    tmp_path: Path, seconds: int
) -> None:
    """As of every service that keeps threads (:mod:`bentofn.runtime.renew.clocks`)."""
    if not may_have_time_namespaces():
        pytest.skip("no time namespace may be made here")
    code = """
import os
from bentofn.runtime import stages
stages.begin(os.environ)
with stages.stage("orders"):
    pass
"""
    telling = Telling("criu", tmp_path / "stages")
    with telling.listening(), stage("restore"):
        command = ["unshare", "--time", f"--monotonic={seconds}", sys.executable, "-c", code]
        subprocess.run(command, env={**os.environ, **telling.variables}, check=True, timeout=60)
    timeline = telling.timeline(telling.began)
    (restore,), (orders,) = timeline.platform, timeline.instance
    assert restore.began <= orders.began <= orders.ended <= restore.ended


def test_what_an_earlier_start_told_into_the_file_is_left_out(tmp_path: Path) -> None:
    begin({FILE: str(tmp_path / "stages")})
    since("earlier", 1)
    end()
    telling = Telling("plain", tmp_path / "stages")
    assert telling.timeline(telling.began).instance == ()


def test_a_trace_begins_at_zero_and_names_who_did_what(tmp_path: Path) -> None:
    restored = Timeline("criu", 10**9, 2 * 10**9, [], [at("orders", 1100, 1200)])
    write_trace(tmp_path / "trace.json", [plain(500), restored], {"bento": "b:1"})
    document = json.loads((tmp_path / "trace.json").read_text())
    found = slices_of(document)
    assert min(each["ts"] for each in found) == 0
    assert {each["name"] for each in found} >= {"cold start, plain", "cold start, criu", "boot"}
    (boot,) = (each for each in found if each["name"] == "boot")
    assert (boot["ts"], boot["dur"], boot["cat"]) == (10_000, 10_000, "boot")
    names = [each["args"]["name"] for each in document["traceEvents"] if "name" in each["args"]]
    assert {"platform", "instance, plain", "instance, criu", "thread 1"} <= set(names)


stage_strategy = st.builds(
    lambda name, began, took, process, thread: Stage(
        name, began, began + took, process, thread, f"thread {thread}"
    ),
    st.sampled_from("abc"), st.integers(0, 50), st.integers(0, 50), st.integers(1, 2),
    st.integers(1, 2),
)  # fmt: skip


@given(st.lists(st.lists(stage_strategy), min_size=1, max_size=3), st.lists(stage_strategy))
def test_a_trace_is_one_whatever_happened_at_the_same_time(
    instances: list[list[Stage]], platform: list[Stage]
) -> None:
    timelines = [Timeline("plain", 0, 100, platform, each) for each in instances]
    events = list(trace_events(timelines))
    found = slices_of({"traceEvents": events})
    told = len(instances) * (len(platform) + 1) + sum(map(len, instances))
    assert len(found) == told
    assert 0 <= untold(timelines) <= 100
    seen = set()
    for row in rows(timelines):
        assert len(row.path) == 1 or (row.origin, row.path[:-1]) in seen
        seen.add((row.origin, row.path))
