"""Timelines as a trace for ui.perfetto.dev, and other viewers of Chrome's trace event format.

Source: "Trace Event Format",
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentofn.adapters.local.timeline.timeline import Timeline
from bentofn.packager.files import atomic_write
from bentofn.runtime.stages import Stage

_PLATFORM = 1
"""Number of the platform's process in a trace; those of the instances follow."""

Event = dict[str, Any]


def write_trace(path: Path, timelines: Sequence[Timeline], about: Mapping[str, str]) -> None:
    """Write timelines as one trace; the first of them begins at zero.

    Args:
        path: The file; it is replaced as a whole.
        timelines: Them.
        about: What is known of where they were measured.

    Raises:
        OSError: It cannot be written.
    """
    document = {
        "traceEvents": list(trace_events(timelines)),
        "displayTimeUnit": "ms",
        "otherData": dict(about),
    }
    atomic_write(path, json.dumps(document, default=str).encode() + b"\n")


def trace_events(timelines: Sequence[Timeline]) -> Iterator[Event]:
    """The events of some timelines: each process and thread named, each stage a slice."""
    zero = min(each.began for each in timelines)
    platform = [told for each in timelines for told in (_whole(each), *each.platform)]
    # Not the system's numbers: a thread may need several, and Perfetto reads 32 bits of each.
    tracks = itertools.count(1)
    yield from _process(_PLATFORM, "platform", platform, zero, tracks)
    number = _PLATFORM
    for timeline in timelines:
        for process in dict.fromkeys(each.process for each in timeline.instance):
            number += 1
            told = [each for each in timeline.instance if each.process == process]
            yield from _process(number, f"instance, {timeline.name}", told, zero, tracks)


def _process(
    number: int, name: str, told: Sequence[Stage], zero: int, tracks: Iterator[int]
) -> Iterator[Event]:
    yield _named("process_name", number, 0, {"name": name})
    yield _named("process_sort_index", number, 0, {"sort_index": number})
    for thread in dict.fromkeys(each.thread for each in told):
        of_thread = [each for each in told if each.thread == thread]
        for stages in _lanes(of_thread):
            track = next(tracks)
            yield _named("thread_name", number, track, {"name": of_thread[0].thread_name})
            yield from (_slice(each, number, track, zero) for each in stages)


def _lanes(told: Sequence[Stage]) -> Iterator[list[Stage]]:
    """Stages in lanes of which each holds what is within another or beside it, as a track must.

    One lane does, but for what an event loop does at the same time.
    """
    left = sorted(told, key=lambda each: (each.began, -each.ended))
    while left:
        lane: list[Stage] = []
        over: list[Stage] = []
        around: list[Stage] = []
        for stage in left:
            while around and around[-1].ended <= stage.began:
                around.pop()
            fits = not around or stage.ended <= around[-1].ended
            (lane if fits else over).append(stage)
            if fits:
                around.append(stage)
        yield lane
        left = over


def _whole(timeline: Timeline) -> Stage:
    """The start as a stage of the platform's, in the thread that did it."""
    name = f"cold start, {timeline.name}"
    if not timeline.platform:
        return Stage(name, timeline.began, timeline.ended, thread_name="platform")
    first = timeline.platform[0]
    return replace(first, name=name, began=timeline.began, ended=timeline.ended, details={})


def _slice(stage: Stage, process: int, thread: int, zero: int) -> Event:
    """A complete event; its times are microseconds."""
    return {
        "name": stage.name,
        "cat": stage.name.partition(".")[0].partition(" ")[0],
        "ph": "X",
        "ts": (stage.began - zero) / 1000,
        "dur": (stage.ended - stage.began) / 1000,
        "pid": process,
        "tid": thread,
        "args": dict(stage.details),
    }


def _named(kind: str, process: int, thread: int, arguments: Mapping[str, Any]) -> Event:
    return {"name": kind, "ph": "M", "pid": process, "tid": thread, "args": dict(arguments)}
