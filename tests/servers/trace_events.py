"""What a trace must be for the programs that open it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

Slice = dict[str, Any]

_CLOSE = 1e-3
"""Microseconds: what is lost of a nanosecond in a sum of two floats."""


def slices_of(document: Mapping[str, Any]) -> list[Slice]:
    """The slices of a trace whose every slice is in a named thread of a named process, and is
    within what it overlaps or has it within."""
    events = document["traceEvents"]
    assert {each["ph"] for each in events} <= {"X", "M"}
    named = {kind: set() for kind in ("process_name", "thread_name", "process_sort_index")}
    for each in events:
        if each["ph"] == "M":
            (value,) = each["args"].values()
            assert value != ""
            place = each["pid"] if each["name"] != "thread_name" else (each["pid"], each["tid"])
            assert place not in named[each["name"]]
            named[each["name"]].add(place)
    found = [each for each in events if each["ph"] == "X"]
    tracks = defaultdict(list)
    for each in found:
        # Perfetto puts what has a larger number on the track of its process.
        assert all(type(each[key]) is int and 0 <= each[key] < 1 << 32 for key in ("pid", "tid"))
        assert each["name"]
        assert each["cat"]
        assert each["ts"] >= 0
        assert each["dur"] >= 0
        assert each["pid"] in named["process_name"]
        assert (each["pid"], each["tid"]) in named["thread_name"]
        tracks[each["pid"], each["tid"]].append((each["ts"], each["ts"] + each["dur"]))
    for track in tracks.values():
        around: list[float] = []
        for begins, ends in sorted(track, key=lambda each: (each[0], -each[1])):
            while around and around[-1] <= begins + _CLOSE:
                around.pop()
            assert not around or ends <= around[-1] + _CLOSE
            around.append(ends)
    return found
