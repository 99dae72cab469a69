from __future__ import annotations

import dataclasses
import json
import math
from datetime import datetime, timezone

from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.adapters.local.core.schedules.agenda import Agenda
from bentofn.adapters.local.core.schedules.memory import Memory
from bentofn.adapters.local.core.schedules.messages import (
    Command,
    Complete,
    Delivered,
    Drop,
    Event,
    Failed,
    Fire,
    Run,
    Skip,
    Tick,
    WakeAt,
)
from bentofn.adapters.schedule import Schedule

MONDAY = datetime(2026, 11, 23, 12, 0, 30, tzinfo=timezone.utc).timestamp()
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


class Played:
    """An agenda with a clock that jumps from one wake-up to the next."""

    def __init__(self, *schedules: Schedule, now: float = MONDAY) -> None:
        self.schedules = schedules
        self.now = now
        self.agenda = Agenda(schedules, {}, now)
        self.wake = math.inf
        self.commands: list[Command] = []
        self.rest: list[Command] = []
        self.feed(Tick())

    def feed(self, event: Event) -> list[Command]:
        told = self.agenda.handle(event, self.now)
        for command in told:
            if isinstance(command, WakeAt):
                self.wake = command.moment
            else:
                self.commands.append(command)
        return told

    def until(self, moment: float, answer: str = "delivered") -> list[Run]:
        """Let time pass, answering each run at once; gives the runs that were fired."""
        fired: list[Run] = []
        while True:
            for command in self.taken():
                if isinstance(command, Fire):
                    fired.append(command.run)
                    ok = answer == "delivered"
                    self.feed(Delivered(command.run) if ok else Failed(command.run, answer))
                else:
                    self.rest.append(command)
            if self.commands:
                continue
            if self.wake > moment:
                self.now = moment
                return fired
            self.now, self.wake = max(self.now, self.wake), math.inf
            self.feed(Tick())

    def taken(self) -> list[Command]:
        commands, self.commands = self.commands, []
        return commands

    def restarted(self, down: float) -> Played:
        """The same after the platform was stopped for a while."""
        raw = json.loads(
            json.dumps({n: dataclasses.asdict(m) for n, m in self.agenda.memories.items()})
        )
        self.now += down
        self.agenda = Agenda(
            self.schedules, {n: Memory.from_json(m) for n, m in raw.items()}, self.now
        )
        self.wake = math.inf
        self.feed(Tick())
        return self


def times(runs: list[Run]) -> list[float]:
    return [run.scheduled - MONDAY for run in runs]


def test_a_cron_fires_at_its_times() -> None:
    play = Played(Schedule("a", "cron(0/15 * * * ? *)"))
    assert times(play.until(MONDAY + HOUR)) == [870.0, 1770.0, 2670.0, 3570.0]


def test_a_rate_of_the_scheduler_begins_at_once_and_a_rules_after_its_time() -> None:
    play = Played(Schedule("s", "rate(10 minutes)", method="scheduler"))
    assert times(play.until(MONDAY + 25 * MINUTE)) == [0.0, 600.0, 1200.0]
    play = Played(Schedule("r", "rate(10 minutes)"))
    assert times(play.until(MONDAY + 25 * MINUTE)) == [600.0, 1200.0]


def test_a_rate_counts_from_its_start_and_stops_at_its_end() -> None:
    start, end = MONDAY + 90.0, MONDAY + 90.0 + 2 * HOUR
    play = Played(Schedule("a", "rate(1 hour)", method="scheduler", start=start, end=end))
    assert times(play.until(MONDAY + DAY)) == [90.0, 3690.0, 7290.0]
    assert play.rest == [Complete("a", delete=False)]
    assert [entry.following for entry in play.agenda.entries()] == [None]


def test_a_cron_keeps_to_its_start_and_end() -> None:
    play = Played(
        Schedule("a", "cron(0 * * * ? *)", start=MONDAY + HOUR - 30.0, end=MONDAY + 3 * HOUR)
    )
    assert times(play.until(MONDAY + DAY)) == [3570.0, 7170.0, 10770.0]


def test_a_one_time_schedule_is_over_after_its_time_and_may_be_deleted() -> None:
    text = "at(2026-11-23T13:00:00)"
    play = Played(Schedule("a", text, "Europe/Berlin", delete=True), Schedule("b", text))
    assert play.rest == []
    # In Berlin it is 13:00:30 already.
    assert times(play.until(MONDAY + DAY)) == [3570.0]
    assert play.rest == [Complete("a", delete=True), Complete("b", delete=False)]
    assert [entry.schedule.name for entry in play.agenda.entries()] == ["b"]
    assert play.restarted(60.0).until(play.now + DAY) == []


def test_a_disabled_schedule_does_not_fire_and_is_not_over() -> None:
    play = Played(Schedule("a", "rate(1 minute)", enabled=False))
    assert play.until(MONDAY + HOUR) == []
    assert play.rest == []
    assert play.agenda.entries()[0].following is None


def test_a_flexible_window_puts_off_within_it_and_the_same_way_each_time() -> None:
    schedule = Schedule("a", "rate(1 hour)", window=30)
    play = Played(schedule)
    offsets = []
    for hour in range(1, 25):
        due = MONDAY + hour * HOUR
        assert play.until(due - 1.0) == []
        (run,) = play.until(due + 30 * MINUTE)
        assert run.scheduled == due
        last = play.agenda.entries()[0].last
        assert last is not None
        offsets.append(last - due)
    assert all(0.0 <= offset <= 1800.0 for offset in offsets)
    assert len(set(offsets)) > 10
    again = Played(schedule)
    again.until(MONDAY + HOUR + 30 * MINUTE)
    assert again.agenda.entries()[0].last == MONDAY + HOUR + offsets[0]


def test_a_failed_run_is_tried_again_with_growing_pauses() -> None:
    play = Played(Schedule("a", "at(2026-11-23T13:00:00)", retries=5))
    runs = play.until(MONDAY + 2 * HOUR, "busy")
    assert [run.attempt for run in runs] == [1, 2, 3, 4, 5, 6]
    (drop, over) = play.rest
    assert drop == Drop(runs[-1], "tried 6 times: busy")
    assert over == Complete("a", delete=False)
    assert play.agenda.entries()[0].outcome == "tried 6 times: busy"


def test_the_retries_of_eventbridge_fit_into_its_longest_age() -> None:
    play = Played(Schedule("a", "at(2026-11-23T13:00:00)"))
    runs = play.until(MONDAY + 2 * DAY, "busy")
    assert len(runs) == 186
    assert play.now - MONDAY > 23 * HOUR


def test_a_run_that_is_too_old_is_given_up() -> None:
    play = Played(Schedule("a", "at(2026-11-23T13:00:00)", longest_age=60))
    runs = play.until(MONDAY + DAY, "busy")
    assert [run.attempt for run in runs] == [1, 2, 3, 4, 5, 6]  # after 0, 1, 3, 7, 15 and 31 s
    assert play.rest[0] == Drop(runs[-1], "older than 60 s: busy")


def test_a_lasting_failure_is_not_tried_again() -> None:
    play = Played(Schedule("a", "at(2026-11-23T13:00:00)"))
    play.now = play.wake
    (fire, *_) = [each for each in play.feed(Tick()) if isinstance(each, Fire)]
    assert Drop(fire.run, "no such endpoint") in play.feed(
        Failed(fire.run, "no such endpoint", lasting=True)
    )


def test_a_slow_run_does_not_keep_the_next() -> None:
    play = Played(Schedule("a", "rate(1 minute)"))
    for minute in (1, 2, 3):
        play.now = MONDAY + minute * MINUTE
        fired = [each.run for each in play.feed(Tick()) if isinstance(each, Fire)]
        assert times(fired) == [minute * MINUTE]


def test_what_was_missed_is_made_up_for_while_it_is_young_enough() -> None:
    play = Played(Schedule("a", "rate(10 minutes)", longest_age=3600))
    play.until(MONDAY + 5 * MINUTE)
    play.restarted(30 * MINUTE)
    assert times(play.until(play.now)) == [600.0, 1200.0, 1800.0]
    play.restarted(DAY)
    runs = play.until(play.now)
    assert isinstance(play.rest[0], Skip)
    assert [play.now - run.scheduled <= 3600.0 for run in runs] == [True] * 6


def test_what_was_being_done_when_the_platform_ended_is_done_again() -> None:
    play = Played(Schedule("a", "at(2026-11-23T13:00:00)"))
    play.now = play.wake
    play.feed(Tick())
    play.commands.clear()
    assert [run.attempt for run in play.restarted(10.0).until(play.now)] == [1]


def test_a_restart_keeps_a_rates_rhythm_and_a_new_expression_begins_anew() -> None:
    play = Played(Schedule("a", "rate(1 hour)"))
    play.until(MONDAY + 90 * MINUTE)
    assert times(play.restarted(60.0).until(MONDAY + 3 * HOUR)) == [2 * HOUR, 3 * HOUR]
    play.schedules = (Schedule("a", "rate(2 hours)"),)
    assert times(play.restarted(0.0).until(MONDAY + 6 * HOUR)) == [5 * HOUR]


def test_a_clock_that_was_ahead_and_begins_anew_does_not_silence_a_schedule() -> None:
    for text in ("rate(1 hour)", "cron(0 * * * ? *)"):
        play = Played(Schedule("a", text, window=10))
        play.until(MONDAY + 30 * DAY)
        play.restarted(-29 * DAY)
        assert 2 <= len(play.until(play.now + 3 * HOUR)) <= 4


def test_an_answer_for_a_run_that_is_not_known_does_nothing() -> None:
    play = Played(Schedule("a", "rate(1 hour)"))
    assert play.feed(Delivered(Run("a", 1.0))) == []
    assert play.feed(Failed(Run("b", 1.0), "why")) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["rate(1 minute)", "rate(7 minutes)", "cron(0/5 * * * ? *)", "rate(1 hour)"]
            ),
            st.sampled_from([0, 1, 10]),
            st.integers(0, 3),
        ),
        min_size=1,
        max_size=3,
    ),
    st.lists(
        st.tuples(st.floats(0.0, 1000.0), st.sampled_from(["ok", "fail", "lasting", "later"])),
        max_size=60,
    ),
)
def test_every_time_is_fired_and_settled_once(
    given_: list[tuple[str, int, int]], steps: list[tuple[float, str]]
) -> None:
    schedules = tuple(
        Schedule(f"s{index}", text, window=window, retries=retries)
        for index, (text, window, retries) in enumerate(given_)
    )
    play = Played(*schedules)
    open_: list[Run] = []
    seen: dict[tuple[str, float], int] = {}
    settled: set[tuple[str, float]] = set()
    for passed, answer in steps:
        play.now += passed
        play.feed(Tick())
        for command in play.taken():
            if isinstance(command, Fire):
                key = (command.run.schedule, command.run.scheduled)
                assert key not in settled
                assert command.run.attempt == seen.get(key, 0) + 1
                assert command.run.scheduled <= play.now
                seen[key] = command.run.attempt
                open_.append(command.run)
            elif isinstance(command, Drop):
                settled.add((command.run.schedule, command.run.scheduled))
        if open_ and answer != "later":
            run = open_.pop(0)
            if answer == "ok":
                settled.add((run.schedule, run.scheduled))
                play.feed(Delivered(run))
            else:
                play.feed(Failed(run, "why", lasting=answer == "lasting"))
        assert play.wake > play.now or open_ or play.commands
    for schedule in schedules:
        fired = sorted(moment for name, moment in seen if name == schedule.name)
        waiting = {p.scheduled for p in play.agenda.memories[schedule.name].pending}
        if fired and schedule.expression == "rate(1 minute)" and not schedule.window:
            expected = {
                MONDAY + n * MINUTE for n in range(1, int((play.now - MONDAY) // MINUTE) + 1)
            }
            assert set(fired) | waiting == expected
