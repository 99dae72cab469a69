"""Instances that sleep while nobody asks, and go on in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from bentofn.adapters.local.engines.base import (
    EngineRefused,
    Instance,
    InstanceSpec,
    Launch,
    StartFailed,
)
from bentofn.adapters.local.engines.checkpointed.dormitory import Dormitory
from bentofn.adapters.local.engines.checkpointed.sleeper import Sleeper
from bentofn.adapters.local.engines.places import place
from bentofn.adapters.local.engines.plain import stop_all
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.isolation.policy import Tenancy
from bentofn.runtime.cuda.checkpoint import CannotCheckpoint
from bentofn.runtime.errors import UserError
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.protocol import GPUS, Restore
from bentofn.runtime.stages import stage

ASLEEP = "its GPU memory is in host memory"
"""Why an instance is gone that sleeps."""


class CheckpointedEngine:
    """The engine ``checkpointed``: instances that give up their GPU, not their process.

    Args:
        launch: What the processes were started with.
        dormitory: The platform's.
        timeout: Seconds that an instance may take to finish what it serves.
    """

    name = "checkpointed"

    def __init__(self, launch: Launch, dormitory: Dormitory, timeout: float) -> None:
        self._launch = launch
        self._dormitory = dormitory
        self._timeout = timeout
        self._sleepers: set[Sleeper] = set()
        self._instances: set[RunningInstance] = set()
        self._work: set[asyncio.Task[None]] = set()

    async def prepare(self) -> None:
        """Nothing can be done ahead."""

    def sleeps(self, gpus: tuple[str, ...] | None = None) -> bool:
        """Whether there is one to start from.

        Args:
            gpus: On these GPUs; None for any.
        """
        return self._next(gpus) is not None

    async def keep(self, instance: Instance, gpus: tuple[str, ...]) -> None:
        """Have an instance sleep; it has ended, for who waits for it, when this returns.

        Args:
            instance: It, which has nothing to do.
            gpus: Those that it has.

        Raises:
            EngineRefused: It cannot sleep; it is of no use any more.
            StartFailed: The same, for a reason that may pass.
        """
        assert isinstance(instance, RunningInstance)
        runtime = BentoRoot(self._launch.root).runtime / "bentofn" / "runtime"
        if not (runtime / "sleeping.py").exists():
            raise EngineRefused("the runtime in its bento is too old to sleep; build it again")
        wire = await instance.sleep(self._timeout)
        held = instance.on_device
        memory = held.now or held.reserved or held.used if held is not None else 0
        try:
            async with self._dormitory.room(memory):
                tenancy = await self._take_out(instance)
                pid, exit_ = instance.leave(ASLEEP)
                sleeper = Sleeper(instance.id, pid, exit_, wire, tenancy, gpus, memory)
                self._sleepers.add(sleeper)
                exit_.add_done_callback(lambda _: self._sleepers.discard(sleeper))
                await instance.wait()
        except BaseException:
            wire.close()
            raise
        self._dormitory.put(sleeper)

    async def start(self, spec: InstanceSpec) -> RunningInstance:
        """Wake the one that has slept shortest; it is not ready yet when this returns.

        Raises:
            EngineRefused: There is none.
            StartFailed: It does not wake; it has ended.
        """
        gpus = tuple(filter(None, spec.env.get(GPUS, "").split(",")))
        sleeper = self._next(gpus)
        if sleeper is None:
            raise EngineRefused("no instance of it sleeps")
        self._sleepers.discard(sleeper)
        self._dormitory.take(sleeper)
        try:
            return await self._wake(sleeper, spec)
        except BaseException as error:
            await asyncio.shield(sleeper.end())
            if isinstance(error, (UserError, OSError)) and not isinstance(error, StartFailed):
                raise StartFailed(str(error).rstrip(".")) from error
            raise

    async def close(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        for sleeper in list(self._sleepers):
            self._dormitory.take(sleeper)
            await sleeper.end()
        await stop_all(self._instances)
        await asyncio.gather(*self._work, return_exceptions=True)

    def _next(self, gpus: tuple[str, ...] | None) -> Sleeper | None:
        found = None
        for sleeper in self._dormitory.sleepers():
            mine = sleeper in self._sleepers and sleeper.lives
            if mine and (gpus is None or sleeper.gpus == gpus):
                found = sleeper
        return found

    async def _take_out(self, instance: RunningInstance) -> Tenancy:
        """Have an instance's memory taken off its GPUs; returns where that counts from now on."""
        tenancy = self._launch.tenancy(InstanceSpec(f"{instance.id}-asleep"), limited=False)
        try:
            tenancy.begin(instance.pid, lambda _: None)
            await tenancy.settled()
            await _while_it_lives(instance, self._dormitory.driver.take_out(instance.pid))
        except BaseException as error:
            await instance.stop(0.0)  # what the driver failed with is of no use any more
            await tenancy.end()
            if isinstance(error, CannotCheckpoint):
                raise EngineRefused(str(error).rstrip(".")) from error
            raise
        return tenancy

    async def _wake(self, sleeper: Sleeper, spec: InstanceSpec) -> RunningInstance:
        env = self._launch.environment(spec)
        request = Restore("instance", spec.instance_id, spec.threads, env)
        async with place(self._launch, spec) as at:
            try:
                with stage("gpu.restore", bytes=sleeper.memory):
                    await self._dormitory.driver.put_back(sleeper.pid)
                await sleeper.tell(request, at.wires.remote_fds())
            finally:
                at.wires.close_remote()
        instance = await RunningInstance.of(
            spec, at.path, at.wires, sleeper.pid, sleeper.exit, at.tenancy, self._launch.log
        )
        instance.keep_in(self._instances)
        self._background(_vacate(at.tenancy.settled(), sleeper))
        return instance

    def _background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)


async def _while_it_lives(instance: RunningInstance, order: Coroutine[Any, Any, None]) -> None:
    """Wait for the driver, which may hang: whoever stops the instance meanwhile does not.

    Raises:
        StartFailed: The instance has ended.
    """
    work, end = asyncio.create_task(order), asyncio.create_task(instance.wait())
    try:
        await asyncio.wait([work, end], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise StartFailed("it ended")
        await work
    finally:
        work.cancel()
        end.cancel()


async def _vacate(moved: Coroutine[Any, Any, None], sleeper: Sleeper) -> None:
    """Give up where a process slept, once it has been moved from there."""
    await moved
    await sleeper.tenancy.end()
