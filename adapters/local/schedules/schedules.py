"""The schedules of all functions of a platform."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bentofn.adapters.local.clock import Clock
from bentofn.adapters.local.core.schedules.agenda import Entry
from bentofn.adapters.local.core.schedules.messages import Run
from bentofn.adapters.local.functions import Function
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.schedules.calls import Caller, route_of
from bentofn.adapters.local.schedules.keeper import CallFailed, ScheduleKeeper
from bentofn.adapters.protocol import FunctionSpec
from bentofn.adapters.schedule import Schedule, ScheduleStatus
from bentofn.adapters.schedules import other_events
from bentofn.runtime.manifest import ServiceContract

LAMBDA = "lambda"
"""The profile of functions that are invoked, and not asked over HTTP."""


class Schedules:
    """Fires what is scheduled.

    Args:
        directory: Where it is remembered, one file a function.
        address: Where the platform answers, without a slash at its end.
        clock: Its time.
        journal: Is told what becomes of each run.
    """

    def __init__(self, directory: Path, address: str, clock: Clock, journal: Journal) -> None:
        self._directory = directory
        self._clock = clock
        self._journal = journal
        self._caller = Caller(address)
        self._keepers: dict[str, ScheduleKeeper] = {}

    def follow(self, function: Function) -> None:
        """Fire a function's schedules as its live deployment has them from now on."""
        assert function.deployment is not None
        schedules = function.deployment.spec.settings.schedules
        keeper = self._keepers.get(function.name)
        if keeper is None:
            if not schedules:
                return

            async def call(schedule: Schedule, run: Run) -> None:
                await self._call(function, schedule, run)

            keeper = self._keepers[function.name] = ScheduleKeeper(
                function.name,
                self._directory / f"{function.name}.json",
                self._clock,
                self._journal,
                lambda line: function.write_log("schedule", line),
                call,
            )
        keeper.follow(schedules)

    def status(self, function: str) -> tuple[ScheduleStatus, ...]:
        """How a function's schedules stand."""
        keeper = self._keepers.get(function)
        return tuple(map(_status, keeper.entries())) if keeper is not None else ()

    async def discard(self, function: str) -> None:
        """A function is removed: end what runs and forget its schedules."""
        keeper = self._keepers.pop(function, None)
        if keeper is not None:
            await keeper.discard()

    async def close(self, patience: float) -> None:
        """Fire no more.

        Args:
            patience: Seconds for what runs.
        """
        await asyncio.gather(*(each.close(patience) for each in self._keepers.values()))
        await self._caller.close()

    async def _call(self, function: Function, schedule: Schedule, run: Run) -> None:
        live = function.live
        if live is None:
            raise CallFailed(function.trouble or "the function is being stopped")
        if live.profile.name == LAMBDA:
            await self._caller.invoke(function.name, schedule, run)
        else:
            await self._caller.ask(function.name, live.bento.manifest.contract, schedule, run)


def unrun_events(spec: FunctionSpec, contract: ServiceContract) -> str:
    """What of a function's events this platform does not run, and why; empty for nothing."""
    reasons = []
    if others := other_events(spec.settings.events):
        reasons.append(f"its {', '.join(others)} events are not run by target local")
    for schedule in spec.settings.schedules:
        try:
            if spec.settings.profile != LAMBDA:
                route_of(contract, schedule)
        except CallFailed as failure:
            reasons.append(f"its schedule {schedule.name} cannot run: {failure.reason}")
    return "; ".join(reasons)


def _status(entry: Entry) -> ScheduleStatus:
    schedule = entry.schedule
    state = "enabled" if schedule.enabled else "disabled"
    if entry.following is None and schedule.enabled and not entry.waiting:
        state = "completed"
    return ScheduleStatus(
        schedule.name, schedule.expression, schedule.timezone, state, entry.following, entry.last,
        entry.outcome,
    )  # fmt: skip
