"""What a version of a function that runs on GPUs does about them: takes turns, and sleeps."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.engines import (
    EngineRefused,
    Instance,
    InstanceSpec,
    Launch,
    StartFailed,
)
from bentofn.adapters.local.engines.checkpointed.engine import CheckpointedEngine
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.restored.patience import Patience
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.gpus import Share, in_environment, share_of
from bentofn.adapters.protocol import FunctionSpec
from bentofn.runtime.cuda.controller import Controller
from bentofn.runtime.protocol import TAKEN_OUT
from bentofn.runtime.stages import stage

Serve = Callable[[CheckpointedEngine, InstanceSpec], Awaitable[Instance]]
"""Starts an instance with an engine, and waits until it serves."""


class Turns:
    """A revision's.

    Args:
        spec: The function.
        share: What it asks for.
        shared: The platform's.
        how_to_launch: What its processes are started with.
        timeout: Seconds that an instance may take to finish what it serves.
        unwanted: Called with an instance that others need to go.
        urgent: Says whether somebody waits for an instance.
        tell: Takes what its log is told.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        share: Share,
        shared: Shared,
        how_to_launch: Callable[[], Awaitable[Launch]],
        timeout: float,
        unwanted: Callable[[str], None],
        urgent: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> None:
        self._function = spec.name
        self._sleeps = spec.settings.snapshot == "auto" or spec.settings.gpu_snapshot
        self._share = share
        self._gpus = shared.gpus
        self._dormitory = shared.dormitory
        self._how_to_launch = how_to_launch
        self._timeout = timeout
        self._unwanted = unwanted
        self._urgent = urgent
        self._tell = tell
        self.on_disk = spec.settings.gpu_snapshot and spec.settings.snapshot in ("auto", "criu")
        """Whether GPU memory is kept on disk too."""
        self._copies = self.on_disk or spec.settings.snapshot in ("criu", "template")
        self._engine: CheckpointedEngine | None = None
        self._patience = Patience()
        self._has: dict[str, tuple[str, ...]] = {}
        self._falling = 0
        self._fell = asyncio.Condition()
        self._follows: set[asyncio.Task[None]] = set()

    @classmethod
    def of(
        cls,
        spec: FunctionSpec,
        bento: LocalBento,
        shared: Shared,
        how_to_launch: Callable[[], Awaitable[Launch]],
        timeout: float,
        unwanted: Callable[[str], None],
        urgent: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> Turns | None:
        """A revision's; None where it asks for no GPU, or there is none."""
        share = share_of(spec, bento.manifest.contract)
        if share is None or not shared.gpus.there:
            return None
        return cls(spec, share, shared, how_to_launch, timeout, unwanted, urgent, tell)

    @property
    def asleep(self) -> bool:
        """Whether the next start may wake an instance."""
        return self._engine is not None and self._engine.sleeps()

    @property
    def may_copy(self) -> bool:
        """Whether engines that copy a process are worth a try: what has GPU memory they cannot."""
        return self._copies

    @property
    def note(self) -> str:
        """Why its instances cannot sleep; empty where they can, or are not to."""
        if not self._sleeps:
            return ""
        why = self._gpus.note or self._patience.reason
        return f"instances give up their process with the GPU: {why}" if why else ""

    async def take(self, spec: InstanceSpec) -> InstanceSpec:
        """Wait until an instance may start; returns it with its GPUs in its environment.

        Raises:
            UserError: It never may.
        """
        name = spec.instance_id
        with stage("gpu.turn"):
            self._has[name] = await self._gpus.take(
                name, self._function, self._share, lambda: self._unwanted(name),
                urgent=self._urgent(),
            )  # fmt: skip
        return replace(spec, env={**spec.env, **in_environment(self._has[name])})

    def seen(self, name: str, *, idle: bool) -> None:
        """Say how an instance stands."""
        self._gpus.seen(name, idle=idle, urgent=self._urgent())

    def give(self, name: str) -> None:
        """An instance did not start, or has ended."""
        self._has.pop(name, None)
        self._gpus.give(name)

    def follow(self, instance: Instance) -> None:
        """An instance serves: learn when it has nothing on a GPU any more, and what it has had.

        Not before: what it has when it is ready lacks what requests need.
        """
        if isinstance(instance, RunningInstance) and not instance.holds_early:
            self._copies = True
        following = asyncio.create_task(self._follow(instance))
        self._follows.add(following)
        following.add_done_callback(self._follows.discard)

    @contextlib.asynccontextmanager
    async def preparing(self) -> AsyncIterator[None]:
        """Have a GPU inside of the block, for a start that is to be kept.

        Where instances of the function run, nobody makes room for it: it is they who would.
        """
        name, urgent = f"{self._function}-{os.urandom(4).hex()}", not self._has
        async with self._gpus.turn(name, self._function, self._share, urgent=urgent):
            yield

    async def to_disk(self) -> tuple[Controller, Mapping[str, str]]:
        """Who takes GPU memory out of a process that is kept on disk, and what that is told.

        Raises:
            EngineRefused: It cannot be, here.
        """
        await self._gpus.find()
        names = self._gpus.names
        if self._gpus.note:
            raise EngineRefused(self._gpus.note)
        if len(names) != 1:
            raise EngineRefused(
                f"GPU memory is kept on disk for the GPU that it was on, and this machine has "
                f"{len(names)}; have one (CUDA_VISIBLE_DEVICES of the platform)"
            )
        return self._dormitory.controller, {**in_environment(names), TAKEN_OUT: "1"}

    async def wake(self, serve: Serve, spec: InstanceSpec) -> Instance | None:
        """Wake an instance that sleeps, if one does on the GPUs that were given."""
        gpus = self._has[spec.instance_id]
        async with self._fell:  # one that falls asleep wakes sooner than another starts
            await self._fell.wait_for(lambda: not self._falling or self._sleeps_on(gpus))
        engine = self._engine
        if engine is None or not engine.sleeps(gpus):
            return None
        try:
            return await serve(engine, spec)
        except (StartFailed, EngineRefused) as error:
            self._tell(f"an instance that slept was not woken: {error}")
            self._failed(error)
            return None

    def may_sleep(self, instance: Instance) -> bool:
        """Whether an instance can sleep in place of being stopped."""
        now = asyncio.get_running_loop().time()
        kind = isinstance(instance, RunningInstance)
        return self._sleeps and kind and not self._gpus.note and self._patience.allows(now)

    async def sleep(self, instance: Instance) -> bool:
        """Have an instance sleep; it has ended when this returns True."""
        gpus = self._has.get(instance.id)
        if gpus is None or not self.may_sleep(instance):
            return False
        if self._engine is None:
            launch = await self._how_to_launch()
            self._engine = CheckpointedEngine(launch, self._dormitory, self._timeout)
        self._falling += 1
        try:
            await self._engine.keep(instance, gpus)
        except (StartFailed, EngineRefused) as error:
            self._tell(f"{instance.id} does not sleep: {error}")
            self._failed(error)
            return False
        finally:
            self._falling -= 1
            async with self._fell:
                self._fell.notify_all()
        self._patience.succeeded()
        return True

    async def close(self) -> None:
        """End what sleeps."""
        if self._engine is not None:
            await self._engine.close()
        for following in list(self._follows):
            following.cancel()
        await asyncio.gather(*self._follows, return_exceptions=True)
        for name in list(self._has):
            self.give(name)

    def _sleeps_on(self, gpus: tuple[str, ...]) -> bool:
        return self._engine is not None and self._engine.sleeps(gpus)

    def _failed(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        self._patience.failed(now, lasting=False, reason=str(error))

    def _measure(self, instance: Instance) -> None:
        held = instance.on_device if isinstance(instance, RunningInstance) else None
        if held is not None:
            self._gpus.measured(instance.id, held)

    async def _follow(self, instance: Instance) -> None:
        await instance.wait()
        self._measure(instance)  # what it had at most
        self.give(instance.id)
