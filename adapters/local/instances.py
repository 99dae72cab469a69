"""The instances of a revision: each started, waited for, and stopped when the pool says so."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable

from bentofn.adapters.local.core.members import PooledInstance
from bentofn.adapters.local.core.messages import (
    Event,
    InstanceExited,
    InstanceFailed,
    InstanceReady,
)
from bentofn.adapters.local.core.profile import Profile
from bentofn.adapters.local.engines import Instance
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.journal.lives import Lives
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.launcher import LambdaLauncher
from bentofn.adapters.local.launcher import Launcher
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.local.reasons import how_it_ended, why_not_started
from bentofn.adapters.local.stats import Stats
from bentofn.adapters.local.tickets import Assignment
from bentofn.adapters.local.timeline.launching import launch_traced
from bentofn.adapters.local.upstream import Upstream
from bentofn.adapters.protocol import InstanceStatus
from bentofn.runtime.errors import UserError


class Instances:
    """Carries out what a pool says of its instances, and tells it what becomes of them.

    Args:
        function: Whose they are.
        launcher: Starts them.
        threads: Compute threads of each.
        profile: The rules that they run by.
        log: The function's log.
        stats: The function's figures.
        shared: The platform's.
        feed: Tells the pool.
    """

    def __init__(
        self,
        function: str,
        launcher: Launcher | LambdaLauncher,
        threads: int,
        profile: Profile,
        log: LogWriter,
        stats: Stats,
        shared: Shared,
        feed: Callable[[Event], None],
    ) -> None:
        self.told = Lives(shared.journal, function)
        self._journal = shared.journal
        self._function = function
        self._launcher = launcher
        self._threads = threads
        self._profile = profile
        self._log = log
        self._stats = stats
        self._clock = shared.clock
        self._faults = shared.faults.of(function) if shared.faults is not None else None
        self._feed = feed
        self._loop = asyncio.get_running_loop()
        self._instances: dict[str, Instance] = {}
        self._warm: dict[str, Assignment] = {}
        """How requests reach those that serve."""
        self._kinds: dict[str, str] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._stops: set[asyncio.Task[None]] = set()
        self._unwanted: set[str] = set()
        self._first_start: asyncio.Future[None] | None = None

    def start(self, name: str) -> None:
        """Start one; the pool is told when it serves, or that it does not."""
        self.told.starting(name, self._launcher.next_kind)
        self._lives[name] = self._loop.create_task(self._live(name))

    def stop(self, name: str, *, keep: bool = False) -> None:
        """Stop one, once what it has become is kept, if that is to be."""
        self.told.ending(name, "parking" if keep else "stopping")
        instance = self._instances.get(name)
        if instance is None:
            self._unwanted.add(name)
            self._lives[name].cancel()
            return
        grace = self._profile.timeouts.stop_grace
        task = self._loop.create_task(self._launcher.stop(instance, grace, keep=keep))
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    def assignment(self, name: str, *, started: bool) -> Assignment:
        """How a request reaches one; ``started`` says that it waited for this one's start."""
        warm = self._warm[name]
        return dataclasses.replace(warm, start=self._kinds[name]) if started else warm

    def status(self, pooled: PooledInstance, version: int) -> InstanceStatus:
        """How one stands."""
        instance = self._instances.get(pooled.id)
        return InstanceStatus(
            id=pooled.id,
            state=pooled.state,
            start=self._kinds.get(pooled.id, self._launcher.next_kind),
            in_flight=len(pooled.in_flight),
            pid=instance.pid if instance is not None else None,
            version=version,
        )

    def serving(self) -> dict[str, asyncio.Task[None]]:
        """Those that serve, with what is done when they have ended."""
        return {name: self._lives[name] for name in self._instances}

    def first_start(self) -> asyncio.Future[None]:
        """Is done with the next start, and raises UserError if that fails."""
        self._first_start = self._loop.create_future()
        return self._first_start

    async def close(self) -> None:
        """Stop all, at once, and wait until they have ended."""
        await asyncio.gather(*(each.stop(0.0) for each in list(self._instances.values())))
        # Not gather: this may be called off, and the lives must be lived to their end.
        if ending := [*self._lives.values(), *self._stops]:
            await asyncio.wait(ending)

    async def _live(self, name: str) -> None:
        """An instance's life, from its start to its end."""
        began = self._loop.time()
        try:
            if self._faults is not None:
                await self._faults.hold_start(self._clock)
            instance, kind = await self._launch(name)
        except (Exception, asyncio.CancelledError) as error:
            # Whatever it is: the pool waits for an answer, and requests wait for the pool.
            del self._lives[name]
            self._failed(name, error)
            return
        self._instances[name] = instance
        self._kinds[name] = kind
        environment = instance if isinstance(instance, LambdaEnvironment) else None
        self._warm[name] = Assignment(name, "warm", Upstream(instance.socket_path), environment)
        took = self._loop.time() - began
        self._stats.starts[kind] += 1
        self._stats.last_start_ms = round(took * 1000, 1)
        self._stats.last_failure = ""
        self._log.write(name, "platform", f"ready, {kind}, after {took * 1000:.0f} ms")
        trouble = environment.trouble if environment is not None else ""
        self._report_first(UserError(trouble) if trouble else None)
        self.told.ready(name, kind, took)
        keeps, sleeps = self._launcher.keeps(instance), self._launcher.sleeps(instance)
        self._feed(InstanceReady(name, keeps, kind, sleeps))
        if name in self._unwanted:
            self.stop(name)  # told to while it started, too late to call the start off
        await self._end(name, instance)

    async def _launch(self, name: str) -> tuple[Instance, str]:
        launcher, traces = self._launcher, self._journal.traces
        if traces is None or isinstance(launcher, LambdaLauncher):
            return await launcher.launch(name, self._threads)
        return await launch_traced(launcher, self._function, name, self._threads, traces)

    async def _end(self, name: str, instance: Instance) -> None:
        status = await instance.wait()
        reason = how_it_ended(status, instance.verdict)
        answer = self._profile.limits.memory_status if instance.verdict else 502
        self._log.write(name, "platform", reason)
        self._unwanted.discard(name)
        del self._lives[name], self._instances[name]
        self.told.gone(name, reason)
        told = f"The instance that had the request ended: {reason}."
        self._feed(InstanceExited(name, told, answer))
        await self._warm.pop(name).upstream.close()
        del self._kinds[name]

    def _failed(self, name: str, error: BaseException) -> None:
        reason = why_not_started(error)
        if not isinstance(error, asyncio.CancelledError):
            self._stats.last_failure = reason
        self._log.write(name, "platform", f"did not start: {reason}")
        self._unwanted.discard(name)
        self.told.gone(name, reason)
        self._report_first(UserError(reason))
        self._feed(InstanceFailed(name, reason))

    def _report_first(self, error: UserError | None) -> None:
        first = self._first_start
        if first is not None and not first.done():
            if error is None:
                first.set_result(None)
            else:
                first.set_exception(error)
