"""The turns that the instances of a version of a function take on GPUs."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace

from bentofn.adapters.local.engines import Instance, InstanceSpec
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.gpu.gpus import Gpus, Turn, in_environment
from bentofn.adapters.local.gpu.share import GpuFunction
from bentofn.adapters.local.gpu.sleeping import Serve, Sleeping
from bentofn.runtime.protocol import OnDevice
from bentofn.runtime.stages import stage


@dataclass(frozen=True)
class Pooled:
    """The pool that the instances belong to.

    Args:
        unwanted: Called with an instance that others need to go.
        urgent: Says whether somebody waits for an instance.
    """

    unwanted: Callable[[str], None] = lambda _: None
    urgent: Callable[[], bool] = lambda: True


ALONE = Pooled()
"""Of instances that are started one by one, and wait for nothing else."""


class Turns:
    """A version's.

    Args:
        function: The function.
        gpus: Those of the machine.
        sleeping: Its instances that sleep.
        pool: Its pool.
        tell: Takes what its log is told.
    """

    def __init__(
        self,
        function: GpuFunction,
        gpus: Gpus,
        sleeping: Sleeping,
        pool: Pooled,
        tell: Callable[[str], None],
    ) -> None:
        self.function = function
        self.sleeping = sleeping
        self._gpus = gpus
        self._pool = pool
        self._tell = tell
        self._kind = f"{function.name}-{os.urandom(4).hex()}"
        """Another version's instances may need something else."""
        self._copies = function.copies
        self._has: dict[str, tuple[str, ...]] = {}
        self._waits: dict[str, str] = {}
        self._follows: set[asyncio.Task[None]] = set()

    @property
    def may_copy(self) -> bool:
        """Whether engines that copy a process are worth a try: what has GPU memory they cannot."""
        return self._copies

    @property
    def note(self) -> str:
        """For whom an instance waits, and why none can sleep; empty for neither."""
        waits = next(iter(self._waits.values()), "")
        return "; ".join(filter(None, (waits, self.sleeping.note)))

    async def take(self, spec: InstanceSpec) -> InstanceSpec:
        """Wait until an instance may start; returns it with its GPUs in its environment.

        Raises:
            UserError: It never may.
        """
        name, pool = spec.instance_id, self._pool
        turn = replace(
            self._turn(name),
            unwanted=lambda: pool.unwanted(name),
            waits=lambda others: self._wait_for(name, others),
        )
        try:
            with stage("gpu.turn"):
                self._has[name] = await self._gpus.take(turn, urgent=pool.urgent())
        finally:
            self._waits.pop(name, None)
        return replace(spec, env={**spec.env, **in_environment(self._has[name])})

    async def wake(self, serve: Serve, spec: InstanceSpec) -> Instance | None:
        """See :meth:`bentofn.adapters.local.gpu.sleeping.Sleeping.wake`; it has its turn."""
        return await self.sleeping.wake(serve, spec, self._has[spec.instance_id])

    async def sleep(self, instance: Instance) -> bool:
        """See :meth:`bentofn.adapters.local.gpu.sleeping.Sleeping.put`."""
        return await self.sleeping.put(instance, self._has.get(instance.id, ()))

    def seen(self, name: str, *, idle: bool, serves: bool) -> None:
        """See :class:`bentofn.adapters.local.core.gpu.messages.Seen`."""
        self._gpus.seen(name, idle=idle, urgent=self._pool.urgent(), serves=serves)

    def give(self, name: str, held: OnDevice | None = None) -> None:
        """An instance did not start, or has ended; with what it said of what it had."""
        self._has.pop(name, None)
        self._gpus.give(name, held)

    def follow(self, instance: Instance, *, woken: bool) -> None:
        """An instance serves: learn when it has nothing on a GPU any more, and what it has had.

        Args:
            instance: It.
            woken: Whether it slept, and so came by no snapshot point.
        """
        if isinstance(instance, RunningInstance) and not (woken or instance.holds_early):
            self._copies = True
        following = asyncio.create_task(self._follow(instance))
        self._follows.add(following)
        following.add_done_callback(self._follows.discard)

    @contextlib.asynccontextmanager
    async def preparing(self) -> AsyncIterator[Mapping[str, str]]:
        """Have a GPU inside of the block, for a start that is to be kept.

        Where instances of the function run, nobody makes room for it: it is they who would.

        Yields:
            What tells a process its GPUs.
        """
        turn = self._turn(f"{self.function.name}-{os.urandom(4).hex()}")
        gpus = await self._gpus.take(turn, urgent=not self._has)
        try:
            yield in_environment(gpus)
        finally:
            self._gpus.give(turn.name)

    async def close(self) -> None:
        """End what sleeps, and give all back."""
        await self.sleeping.close()
        for following in list(self._follows):
            following.cancel()
        await asyncio.gather(*self._follows, return_exceptions=True)
        for name in list(self._has):
            self.give(name)
        self._gpus.forget(self._kind)

    def _turn(self, name: str) -> Turn:
        return Turn(name, self.function.name, self._kind, self.function.share)

    def _wait_for(self, name: str, others: str) -> None:
        self._waits[name] = (
            f"waits for a GPU that {others} is busy on; "
            f"if that in turn calls {self.function.name}, both wait until a request's timeout: "
            "have each ask for a part of a GPU (gpu: 0.5), or give them GPUs of their own"
        )
        self._tell(f"{name} {self._waits[name]}")

    async def _follow(self, instance: Instance) -> None:
        await instance.wait()
        self.give(
            instance.id, instance.on_device if isinstance(instance, RunningInstance) else None
        )
