"""The schedules of one function: its agenda's decisions carried out."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import traceback
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path

from bentofn.adapters.local.clock import Clock, Timer
from bentofn.adapters.local.core.schedules.agenda import Agenda, Entry
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
from bentofn.adapters.local.journal.events import Fired
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.schedule import Schedule
from bentofn.packager.files import atomic_write

_LONGEST_SLEEP = 60.0
"""Seconds of the platform's time: the machine may be suspended, or its clock set."""


class CallFailed(Exception):  # noqa: N818 - what became of a run, not an error of ours
    """A function did not take a run.

    Args:
        reason: Why.
        lasting: Whether it would not take it another time either.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.lasting = lasting


Call = Callable[[Schedule, Run], Awaitable[None]]
"""Calls the function; raises CallFailed."""


class ScheduleKeeper:
    """Fires the schedules of one function.

    Args:
        function: Its name.
        path: Where they are remembered.
        clock: The platform's time.
        journal: Is told what becomes of each run.
        log: Takes a line for the function's log.
        call: Calls the function.
    """

    def __init__(
        self,
        function: str,
        path: Path,
        clock: Clock,
        journal: Journal,
        log: Callable[[str], None],
        call: Call,
    ) -> None:
        self._function = function
        self._path = path
        self._clock = clock
        self._journal = journal
        self._log = log
        self._call = call
        self._schedules: dict[str, Schedule] = {}
        self._agenda: Agenda | None = None
        self._timer: Timer | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._saved: dict[str, Memory] = {}
        self._saving: asyncio.Task[None] | None = None
        self._closing = False

    def follow(self, schedules: tuple[Schedule, ...]) -> None:
        """Fire these from now on; those that were there before go on as they were."""
        self._schedules = {each.name: each for each in schedules}
        now = self._clock.now()
        if self._agenda is None:
            self._agenda = Agenda(schedules, self._remembered(), now)
        else:
            self._agenda.revise(schedules, now)
        self._feed(Tick())

    def entries(self) -> list[Entry]:
        """How they stand."""
        return self._agenda.entries() if self._agenda is not None else []

    async def close(self, patience: float) -> None:
        """Fire no more; what runs may end, and what has not is tried again at the next start.

        Args:
            patience: Seconds for what runs.
        """
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._calls:
            _, late = await asyncio.wait(self._calls, timeout=patience)
            for call in late:
                call.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._saving is not None:
            await asyncio.gather(self._saving, return_exceptions=True)

    async def discard(self) -> None:
        """End what runs and forget everything."""
        await self.close(0.0)
        self._path.unlink(missing_ok=True)

    def _feed(self, event: Event) -> list[Command]:
        assert self._agenda is not None
        commands = self._agenda.handle(event, self._clock.now())
        for command in commands:
            self._obey(command)
        if self._agenda.memories != self._saved and (self._saving is None or self._saving.done()):
            self._saving = asyncio.get_running_loop().create_task(self._save(self._agenda))
        return commands

    def _obey(self, command: Command) -> None:
        match command:
            case Fire(run):
                self._fire(run)
            case Drop(run, reason):
                self._tell(run, "failed", reason)
            case Skip(schedule, before):
                self._log(
                    f"schedule {schedule}: what was missed before {_shown(before)} is too old"
                )
                self._tell(Run(schedule, before), "skipped", "missed, and too old")
            case Complete(schedule, _):
                self._log(f"schedule {schedule}: it will not come again")
            case WakeAt(moment):
                self._wake_at(moment)

    def _fire(self, run: Run) -> None:
        if self._closing:
            return  # it is remembered as pending
        schedule = self._schedules[run.schedule]
        call = asyncio.get_running_loop().create_task(self._run(schedule, run))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    def _wake_at(self, moment: float) -> None:
        if self._closing:
            return
        if self._timer is not None:
            self._timer.cancel()
        wait = min(moment - self._clock.now(), _LONGEST_SLEEP)
        when = self._clock.monotonic() + max(0.0, wait)
        self._timer = self._clock.call_at(when, self._tick)

    def _tick(self) -> None:
        self._feed(Tick())

    async def _run(self, schedule: Schedule, run: Run) -> None:
        with self._clock.working():
            try:
                await self._call(schedule, run)
            except CallFailed as failure:
                self._failed(run, failure)
            except Exception as error:
                traceback.print_exception(error)
                self._failed(run, CallFailed(f"the platform could not call it: {error}"))
            else:
                self._tell(run, "delivered")
                self._feed(Delivered(run))

    def _failed(self, run: Run, failure: CallFailed) -> None:
        commands = self._feed(Failed(run, failure.reason, failure.lasting))
        if not any(isinstance(each, Drop) and each.run == run for each in commands):
            self._tell(run, "retrying", failure.reason)

    def _tell(self, run: Run, outcome: str, reason: str = "") -> None:
        event = Fired(
            self._journal.now(), self._function, run.schedule, run.scheduled, outcome, run.attempt,
            reason,
        )  # fmt: skip
        self._journal.publish(event)
        if outcome in ("retrying", "failed"):
            how = "failed" if outcome == "retrying" else "given up"
            when = f"schedule {run.schedule} of {_shown(run.scheduled)}"
            self._log(f"{when}: attempt {run.attempt} {how}: {reason}")

    def _remembered(self) -> dict[str, Memory]:
        try:
            raw = json.loads(self._path.read_bytes())
            self._saved = {name: Memory.from_json(each) for name, each in raw.items()}
        except FileNotFoundError:
            self._saved = {}
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            self._log(f"its schedules begin anew: {self._path} cannot be read: {error}")
        return self._saved

    async def _save(self, agenda: Agenda) -> None:
        """Write down what is to be remembered, until nothing has changed meanwhile."""
        while (memories := agenda.memories) != self._saved:
            text = json.dumps({name: dataclasses.asdict(each) for name, each in memories.items()})
            try:
                await asyncio.to_thread(_write, self._path, text)
            except OSError as error:
                self._log(f"its schedules cannot be remembered in {self._path}: {error}")
                return
            self._saved = memories


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    atomic_write(path, text.encode(), 0o600)


def _shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%d %H:%M:%SZ")
