"""The GPUs of this machine, as the functions of one platform take turns on them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bentofn.adapters.local.clock import Clock, Timer
from bentofn.adapters.local.core.gpu import (
    Claim,
    Event,
    Evict,
    Gone,
    Granted,
    Impossible,
    Ledger,
    Measured,
    Seen,
    Tick,
    WakeAt,
    Wanted,
)
from bentofn.adapters.local.engines.checkpointed.dormitory import Dormitory
from bentofn.adapters.protocol import FunctionSpec
from bentofn.runtime.cuda.checkpoint import CannotCheckpoint
from bentofn.runtime.cuda.devices import Device
from bentofn.runtime.errors import UserError
from bentofn.runtime.gpus import VISIBLE, find_gpus, is_allocated
from bentofn.runtime.manifest import ServiceContract
from bentofn.runtime.protocol import GPUS, OnDevice

DEVICES = "BENTOFN_DEVICES"
"""Variable with the directory in place of ``/dev``, for tests."""


_UNKNOWN = 1000
"""Stands for the memory of a GPU whose driver does not say: parts of it can be asked for."""


@dataclass(frozen=True)
class Share:
    """What a function asks for.

    Args:
        count: GPUs.
        part: Of the memory of one, where that is less than all of it.
    """

    count: int = 1
    part: float | None = None


def share_of(spec: FunctionSpec, contract: ServiceContract) -> Share | None:
    """What a function asks for; None where it asks for no GPU, or takes care of them itself.

    Args:
        spec: The function, whose ``gpu`` goes before
        contract: what its service says in ``resources.gpu``.
    """
    if not is_allocated(spec.settings.environment):
        return None
    resources = contract.config.get("resources") or {}
    wanted: Any = resources.get("gpu")
    if spec.settings.gpu is not None:
        wanted = spec.settings.gpu.partition(":")[2] or 1
    try:
        number = float(wanted)
    except (TypeError, ValueError):
        return None  # none, or those that it names
    if not 0 < number < float("inf"):
        return None
    return Share(part=number) if number < 1 else Share(int(number))


@dataclass(frozen=True)
class GpuUse:
    """How one GPU stands, in bytes.

    Args:
        name: Its number and model.
        total: Its memory.
        on_it: What instances have there, or may come to have.
        instances: They.
    """

    name: str
    total: int
    on_it: int
    instances: tuple[str, ...]


@dataclass(frozen=True)
class GpuMemory:
    """What the functions of a platform have of the memory of GPUs.

    Args:
        gpus: Each GPU.
        sleepers: Instances whose GPU memory is in host memory.
        asleep: Bytes of that.
        limit: Bytes that may be there.
    """

    gpus: tuple[GpuUse, ...] = ()
    sleepers: int = 0
    asleep: int = 0
    limit: int = 0


@dataclass(eq=False)
class _Turn:
    granted: asyncio.Future[tuple[str, ...]]
    unwanted: Callable[[], None]


class Gpus:
    """Carries out what a ledger says.

    Args:
        clock: The platform's time.
        dormitory: Whose controller is asked for the GPUs.
    """

    def __init__(self, clock: Clock, dormitory: Dormitory) -> None:
        self._clock = clock
        self._dormitory = dormitory
        self._finding = asyncio.Lock()
        self._ledger: Ledger | None = None
        self._devices: Mapping[str, Device] = {}
        self._turns: dict[str, _Turn] = {}
        self._timer: Timer | None = None
        self.note = ""
        """Why no instance can sleep here; empty where they can."""

    @property
    def there(self) -> bool:
        """Whether this machine has GPUs, without asking their driver."""
        return bool(find_gpus(os.environ.get(DEVICES, "/dev")))

    @property
    def names(self) -> tuple[str, ...]:
        """The GPUs that were found, as ``CUDA_VISIBLE_DEVICES`` names them."""
        return tuple(self._devices)

    async def find(self) -> None:
        """Learn what GPUs there are, once; it takes the driver seconds."""
        async with self._finding:
            if self._ledger is not None or not self.there:
                return
            try:
                found = await asyncio.to_thread(self._dormitory.controller.devices)
            except CannotCheckpoint as error:
                self.note = str(error).rstrip(".")
                # How large they are nobody knows: each is for one instance at a time.
                names = find_gpus(os.environ.get(DEVICES, "/dev"))
                found = [Device(name, int(name), "", _UNKNOWN) for name in names]
            self._devices = {each.id: each for each in found}
            self._ledger = Ledger({each.id: each.memory for each in found})

    async def take(
        self, name: str, function: str, share: Share, unwanted: Callable[[], None], *, urgent: bool
    ) -> tuple[str, ...]:
        """Wait for a turn; it is given back with :meth:`give`.

        Args:
            name: The instance.
            function: Its function; those of one need alike.
            share: What it asks for.
            unwanted: Called when others need what it has.
            urgent: Whether others make room for it.

        Returns:
            The GPUs, as ``CUDA_VISIBLE_DEVICES`` names them.

        Raises:
            UserError: It can never start here.
        """
        await self.find()
        assert self._ledger is not None
        turn = _Turn(asyncio.get_running_loop().create_future(), unwanted)
        self._turns[name] = turn
        memory = None
        if share.part is not None:
            memory = int(share.part * min(self._ledger.gpus.values()))
        self._feed(Wanted(name, Claim(function, share.count, memory), urgent))
        try:
            return await turn.granted
        except BaseException:
            self.give(name)
            raise

    def seen(self, name: str, *, idle: bool, urgent: bool) -> None:
        """Say how an instance stands."""
        holder = self._ledger.holders.get(name) if self._ledger is not None else None
        if holder is not None and (holder.idle, holder.urgent) != (idle, urgent):
            self._feed(Seen(name, idle, urgent))

    def measured(self, name: str, held: OnDevice) -> None:
        """Say what an instance was seen to have."""
        self._feed(Measured(name, held.used, held.reserved))

    def give(self, name: str) -> None:
        """An instance has nothing on a GPU any more, or does not wait for one any more."""
        if self._turns.pop(name, None) is not None:
            self._feed(Gone(name))

    @asynccontextmanager
    async def turn(
        self, name: str, function: str, share: Share, *, urgent: bool
    ) -> AsyncIterator[None]:
        """Have GPUs inside of the block, for what is no instance; else as :meth:`take`."""
        await self.take(name, function, share, lambda: None, urgent=urgent)
        try:
            yield
        finally:
            self.give(name)

    def status(self) -> GpuMemory:
        """How they stand; nothing before a function has asked for one."""
        ledger, dormitory = self._ledger, self._dormitory
        if ledger is None:
            return GpuMemory()
        uses = tuple(
            GpuUse(
                f"{device.number} {device.model}".strip(),
                device.memory,
                ledger.gpus[id_] - ledger.free(id_),
                tuple(n for n, each in ledger.holders.items() if id_ in each.gpus),
            )
            for id_, device in self._devices.items()
        )
        asleep = len(dormitory.sleepers()), dormitory.memory
        return GpuMemory(uses, *asleep, dormitory.limit)

    def close(self) -> None:
        """Wake nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _feed(self, event: Event) -> None:
        ledger = self._ledger
        if ledger is None:
            return
        for command in ledger.handle(event, self._clock.monotonic()):
            match command:
                case Granted(name, gpus):
                    granted = self._turns[name].granted
                    if not granted.done():
                        granted.set_result(gpus)
                case Impossible(name, reason):
                    self._turns[name].granted.set_exception(UserError(reason))
                case Evict(name):
                    # Not at once: what called may be in the middle of that very instance's pool.
                    asyncio.get_running_loop().call_soon(self._evict, name)
                case WakeAt(time):
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = self._clock.call_at(time, self._tick)

    def _evict(self, name: str) -> None:
        turn = self._turns.get(name)
        if turn is not None:
            turn.unwanted()

    def _tick(self) -> None:
        self._feed(Tick())


def in_environment(gpus: tuple[str, ...]) -> dict[str, str]:
    """What tells an instance its GPUs."""
    names = ",".join(gpus)
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", VISIBLE: names, GPUS: names}
