from __future__ import annotations

from bentofn.adapters.local.console.lanes import GONE_TRACKS, Lane, shown
from bentofn.adapters.local.journal.events import (
    InstanceChanged,
    InstanceState,
    RequestAnswered,
    RequestArrived,
    RequestRefused,
)


def change(lane: Lane, at: float, state: InstanceState, instance: str = "i1") -> None:
    lane.instance_changed(InstanceChanged(at, "hello", instance, state, "cold"))


def segments(lane: Lane, instance: str = "i1") -> list[tuple[float, str]]:
    return list(lane.tracks[instance].segments)


def test_an_instances_states_are_kept_with_their_times() -> None:
    lane = Lane("hello")
    change(lane, 1.0, "starting")
    change(lane, 2.0, "ready")
    change(lane, 2.0, "busy")
    change(lane, 4.0, "idle")
    change(lane, 9.0, "gone")
    assert segments(lane)[0] == (1.0, "starting")
    assert segments(lane)[-3:] == [(2.0, "busy"), (4.0, "idle"), (9.0, "gone")]
    assert lane.tracks["i1"].gone


def test_an_idleness_too_short_to_be_seen_is_let_pass() -> None:
    lane = Lane("hello")
    change(lane, 0.0, "starting")
    change(lane, 1.0, "ready")
    change(lane, 5.0, "busy")
    for n in range(100):
        change(lane, 5.01 + n / 50, "idle")
        change(lane, 5.02 + n / 50, "busy")
    assert segments(lane)[-1] == (5.0, "busy")
    assert len(segments(lane)) == 3


def test_a_fast_clock_makes_no_idleness_longer() -> None:
    lane = Lane("hello", pace=600.0)
    change(lane, 0.0, "ready")
    change(lane, 600.0, "busy")
    change(lane, 660.0, "idle")  # a tenth of a second by the wall's clock
    change(lane, 720.0, "busy")
    assert segments(lane) == [(0.0, "idle"), (600.0, "busy")]


def test_what_a_reader_lacks_replaces_what_may_have_changed() -> None:
    lane = Lane("hello")
    change(lane, 0.0, "ready")
    change(lane, 5.0, "busy")
    told = lane.tracks["i1"].shown(4.0)
    assert (told["since"], told["segments"]) == (4.0, [(5.0, "busy")])


def test_instances_that_are_gone_are_forgotten_in_their_order() -> None:
    lane = Lane("hello")
    change(lane, 0.0, "ready", "alive")
    for n in range(GONE_TRACKS + 5):
        change(lane, float(n), "starting", f"i{n}")
        change(lane, float(n), "gone", f"i{n}")
    assert len(lane.tracks) == GONE_TRACKS + 1
    assert "alive" in lane.tracks
    assert "i4" not in lane.tracks
    assert "i5" in lane.tracks


def test_load_is_counted_by_the_second() -> None:
    lane = Lane("hello")
    for n in range(3):
        lane.arrived(RequestArrived(10.0 + n / 10, "hello", "r", "POST", f"/{n}", 0, n))
    lane.answered(RequestAnswered(10.5, "hello", "r", 200, 0.0, 0.25, 1.0, 4, number=0))
    lane.answered(RequestAnswered(11.5, "hello", "r", 502, 0.0, None, 1.0, number=1))
    lane.refused(RequestRefused(11.6, "hello", "r", 429, "Too many.", 2))
    assert [each.shown() for each in lane.seconds] == [[10.0, 3, 0, 0, 0, 4], [11.0, 0, 1, 1, 0, 0]]
    first, second, third = [shown(asked, end) for _, asked, end in lane.requests]
    assert (first["path"], first["waited"], first["took"]) == ("/0", 0.25, 1.0)
    assert (second["path"], second["status"], second["waited"]) == ("/1", 502, 1.0)
    assert (third["path"], third["status"], third["reason"]) == ("/2", 429, "Too many.")
