"""The schedules of one function: when each is due, tried again, given up, and over.

A run is due at its time, or somewhere in its flexible window. One that fails is tried again with
growing pauses until it has been tried often enough or is too old. A run that was missed because
nothing ran (the platform was stopped, the machine slept) is one that failed: it is made up for as
long as it is not too old.

Source: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule.html
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bentofn.adapters.local.core.schedules.expressions import At, Expression, Rate, parse, read_zone
from bentofn.adapters.local.core.schedules.memory import Memory, Pending
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

LONGEST_PAUSE = 480.0
"""Seconds between two tries at most. AWS says only that it backs off exponentially; with pauses of
1, 2, 4... 480 s its 185 retries fit into its 24 hours."""


@dataclass(frozen=True)
class Entry:
    """How a schedule stands.

    Args:
        schedule: It.
        following: When it comes next; None if it does not.
        last: When it was fired last, or None.
        waiting: Runs that are put off or will be tried again.
        outcome: What became of the run that was tried last: empty, ``delivered``, or why not.
    """

    schedule: Schedule
    following: float | None
    last: float | None
    waiting: int
    outcome: str


class _Line:
    """One schedule with what is remembered of it."""

    def __init__(self, schedule: Schedule, memory: Memory) -> None:
        self.schedule = schedule
        self.memory = memory
        self.flying: set[float] = set()
        self._expression: Expression = parse(schedule.expression, read_zone(schedule.timezone))
        self._due: float | None = None
        self._due_after = math.nan

    @property
    def due(self) -> float | None:
        """The first time after those that were taken up."""
        if self._due_after != self.memory.last:
            self._due_after = self.memory.last
            self._due = self._following(self.memory.last)
        return self._due if self.schedule.enabled and not self.memory.done else None

    def _following(self, moment: float) -> float | None:
        start, end = self.schedule.start, self.schedule.end
        if isinstance(self._expression, At):
            # "EventBridge Scheduler ignores StartDate and EndDate for one-time schedules."
            start = end = None
        if start is not None:
            # The start itself is within.
            moment = max(moment, math.nextafter(start, -math.inf))
        found = self._expression.after(moment, self.memory.anchor)
        return None if found is None or (end is not None and found > end) else found

    def offset(self, scheduled: float) -> float:
        """Where in its flexible window a run is due: anywhere, but always at the same place."""
        digest = hashlib.sha256(f"{self.schedule.name} {scheduled}".encode()).digest()
        return int.from_bytes(digest[:4], "big") % (self.schedule.window * 60 + 1)

    def pending(self, scheduled: float) -> Pending | None:
        return next((p for p in self.memory.pending if p.scheduled == scheduled), None)


class Agenda:
    """Decides for the schedules of one function; does nothing itself.

    Args:
        schedules: They.
        memories: What is remembered of them, by name; what is not known begins now.
        now: The moment.
    """

    def __init__(
        self, schedules: tuple[Schedule, ...], memories: Mapping[str, Memory], now: float
    ) -> None:
        self._lines = _lines(schedules, memories, now)
        self._commands: list[Command] = []
        self._wake_at = math.inf

    def revise(self, schedules: tuple[Schedule, ...], now: float) -> None:
        """Go on with other schedules; those that are the same as before go on as they were.

        Args:
            schedules: All that there are now.
            now: The moment.
        """
        former, self._lines = self._lines, _lines(schedules, self.memories, now)
        for name, line in self._lines.items():
            if name in former and former[name].memory.key == line.memory.key:
                line.flying = former[name].flying
        self._wake_at = math.inf

    @property
    def memories(self) -> dict[str, Memory]:
        """What is to be remembered when this ends, by name."""
        return {name: line.memory for name, line in self._lines.items()}

    def entries(self) -> list[Entry]:
        """How the schedules stand, without those that are over and were to be deleted."""
        return [
            Entry(
                line.schedule,
                line.due,
                line.memory.fired,
                len(line.memory.pending) - len(line.flying),
                line.memory.outcome,
            )
            for line in self._lines.values()
            if not (line.memory.done and line.schedule.delete)
        ]

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take an event in and say what to do.

        Args:
            event: What happened. Runs that are not known are let pass.
            now: The moment.
        """
        self._commands = []
        match event:
            case Tick():
                self._wake_at = math.inf
            case Delivered(run):
                self._settle(run, lambda line, _: self._delivered(line, run))
            case Failed(run, reason, lasting):
                self._settle(run, lambda line, p: self._failed(line, p, reason, lasting, now))
        for line in self._lines.values():
            self._take_up(line, now)
            self._fire(line, now)
            self._complete(line)
        self._wake(now)
        return self._commands

    def _settle(self, run: Run, with_it: Callable[[_Line, Pending], None]) -> None:
        line = self._lines.get(run.schedule)
        pending = line.pending(run.scheduled) if line is not None else None
        if line is not None and pending is not None and run.scheduled in line.flying:
            line.flying.discard(run.scheduled)
            with_it(line, pending)

    def _delivered(self, line: _Line, run: Run) -> None:
        line.memory = line.memory.without(run.scheduled, "delivered")

    def _failed(
        self, line: _Line, pending: Pending, reason: str, lasting: bool, now: float
    ) -> None:
        schedule = line.schedule
        pause = min(LONGEST_PAUSE, 2.0 ** (pending.attempt - 1))
        given_up = ""
        if lasting:
            given_up = reason
        elif pending.attempt > schedule.retries:
            given_up = f"tried {pending.attempt} times: {reason}"
        elif now + pause > pending.scheduled + schedule.longest_age:
            given_up = f"older than {schedule.longest_age} s: {reason}"
        if given_up:
            run = Run(schedule.name, pending.scheduled, pending.attempt)
            self._commands.append(Drop(run, given_up))
            line.memory = line.memory.without(pending.scheduled, given_up)
        else:
            again = Pending(pending.scheduled, pending.attempt + 1, now + pause)
            line.memory = line.memory.without(pending.scheduled, reason).having(again)

    def _take_up(self, line: _Line, now: float) -> None:
        """Put what is due by now among what is to be fired."""
        schedule = line.schedule
        oldest = now - schedule.longest_age - schedule.window * 60
        due = line.due
        if due is not None and due < oldest:
            self._commands.append(Skip(schedule.name, oldest))
            line.memory = line.memory.at(oldest)
        while (due := line.due) is not None and due <= now:
            line.memory = line.memory.at(due).having(Pending(due, 1, due + line.offset(due)))

    def _fire(self, line: _Line, now: float) -> None:
        for pending in line.memory.pending:
            if pending.at <= now and pending.scheduled not in line.flying:
                line.flying.add(pending.scheduled)
                line.memory = line.memory.fired_at(now)
                run = Run(line.schedule.name, pending.scheduled, pending.attempt)
                self._commands.append(Fire(run))

    def _complete(self, line: _Line) -> None:
        schedule, memory = line.schedule, line.memory
        if schedule.enabled and not memory.done and line.due is None and not memory.pending:
            line.memory = memory.over()
            self._commands.append(Complete(schedule.name, schedule.delete))

    def _wake(self, now: float) -> None:
        if now >= self._wake_at:
            self._wake_at = math.inf
        times = [line.due for line in self._lines.values() if line.due is not None]
        times += [
            pending.at
            for line in self._lines.values()
            for pending in line.memory.pending
            if pending.scheduled not in line.flying
        ]
        following = min(times, default=math.inf)
        if following < self._wake_at:
            self._wake_at = following
            self._commands.append(WakeAt(following))


def _lines(
    schedules: tuple[Schedule, ...], memories: Mapping[str, Memory], now: float
) -> dict[str, _Line]:
    return {
        each.name: _Line(each, _recalled(each, memories.get(each.name), now)) for each in schedules
    }


def _recalled(schedule: Schedule, memory: Memory | None, now: float) -> Memory:
    """What is known of a schedule, if it still is the same one; else it is new."""
    key = _key(schedule)
    if memory is None or memory.key != key:
        return _new(schedule, key, now)
    # The platform's time may have been ahead of the machine's, and begin anew.
    return memory.not_after(now, keep_anchor=schedule.start is not None)


def _new(schedule: Schedule, key: str, now: float) -> Memory:
    if schedule.start is not None:
        return Memory(key, anchor=schedule.start, last=now)
    # EventBridge Scheduler: "If you do not provide a StartDate, your schedule starts invoking the
    # target immediately." A rule's rate begins to count when it is made.
    at_once = schedule.method == "scheduler" and isinstance(
        parse(schedule.expression, read_zone(schedule.timezone)), Rate
    )
    return Memory(key, anchor=now, last=now - 1.0 if at_once else now)


def _key(schedule: Schedule) -> str:
    """What makes it the same schedule, when it is deployed again."""
    told: tuple[Any, ...] = (
        schedule.expression, schedule.timezone, schedule.method, schedule.start, schedule.end,
        schedule.enabled,
    )  # fmt: skip
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]
