"""The instances of a version of a function that sleep while nobody asks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from bentofn.adapters.local.engines import (
    EngineRefused,
    Instance,
    InstanceSpec,
    Launch,
    StartFailed,
)
from bentofn.adapters.local.engines.checkpointed.dormitory import LIMIT
from bentofn.adapters.local.engines.checkpointed.engine import CheckpointedEngine
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.restored.patience import Patience
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.gpu.share import GpuFunction

Serve = Callable[[CheckpointedEngine, InstanceSpec], Awaitable[Instance]]
"""Starts an instance with an engine, and waits until it serves."""


class Sleeping:
    """A version's.

    Args:
        function: The function.
        shared: The platform's.
        how_to_launch: What its processes are started with.
        timeout: Seconds that an instance may take to finish what it serves.
        tell: Takes what its log is told.
    """

    def __init__(
        self,
        function: GpuFunction,
        shared: Shared,
        how_to_launch: Callable[[], Awaitable[Launch]],
        timeout: float,
        tell: Callable[[str], None],
    ) -> None:
        self._wanted = function.sleeps
        self._gpus = shared.gpus
        self._dormitory = shared.dormitory
        self._how_to_launch = how_to_launch
        self._timeout = timeout
        self._tell = tell
        self._engine: CheckpointedEngine | None = None
        self._patience = Patience()
        self._falling: Counter[tuple[str, ...]] = Counter()
        """On which GPUs instances are about to sleep."""
        self._fell = asyncio.Condition()

    @property
    def note(self) -> str:
        """Why its instances cannot sleep; empty where they can, or are not to."""
        if not self._wanted:
            return ""
        why = self._why_none or self._patience.reason
        return f"instances give up their process with the GPU: {why}" if why else ""

    def has_one(self, gpus: tuple[str, ...] | None = None) -> bool:
        """Whether an instance sleeps that the next start may wake.

        Args:
            gpus: On these GPUs; None for any.
        """
        return self._engine is not None and self._engine.sleeps(gpus)

    def may(self, instance: Instance) -> bool:
        """Whether an instance can sleep in place of being stopped, in a while after a failure."""
        kind = isinstance(instance, RunningInstance)
        return self._wanted and kind and not self._why_none and not self._patience.exhausted

    async def wake(
        self, serve: Serve, spec: InstanceSpec, gpus: tuple[str, ...]
    ) -> Instance | None:
        """Wake an instance that sleeps, if one does on the GPUs that were given."""
        async with self._fell:  # one that falls asleep wakes sooner than another starts
            await self._fell.wait_for(lambda: not self._falling[gpus] or self.has_one(gpus))
        engine = self._engine
        if engine is None or not engine.sleeps(gpus):
            return None
        try:
            return await serve(engine, spec)
        except EngineRefused:
            return None  # another start was sooner
        except StartFailed as error:
            self._tell(f"an instance that slept was not woken: {error}")
            self._failed(error)
            return None

    async def put(self, instance: Instance, gpus: tuple[str, ...]) -> bool:
        """Have an instance sleep that has these GPUs; it has ended when this returns True."""
        now = asyncio.get_running_loop().time()
        if not gpus or not self.may(instance) or not self._patience.allows(now):
            return False
        if self._engine is None:
            launch = await self._how_to_launch()
            self._engine = CheckpointedEngine(launch, self._dormitory, self._timeout)
        self._falling[gpus] += 1
        try:
            await self._engine.keep(instance, gpus)
        except (StartFailed, EngineRefused) as error:
            self._tell(f"{instance.id} does not sleep: {error}")
            self._failed(error)
            return False
        finally:
            self._falling[gpus] -= 1
            async with self._fell:
                self._fell.notify_all()
        self._patience.succeeded()
        return True

    async def close(self) -> None:
        """End what sleeps."""
        if self._engine is not None:
            await self._engine.close()

    @property
    def _why_none(self) -> str:
        """Why none can sleep on this platform."""
        return self._gpus.note or ("" if self._dormitory.limit else f"{LIMIT} is 0")

    def _failed(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        self._patience.failed(now, lasting=False, reason=str(error))
