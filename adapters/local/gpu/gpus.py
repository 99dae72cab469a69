"""The GPUs of this machine, on which the functions of one platform take turns."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bentofn.adapters.local.clock import Clock, Timer
from bentofn.adapters.local.core.gpu.ledger import Ledger
from bentofn.adapters.local.core.gpu.messages import (
    Claim,
    Event,
    Evict,
    Forgotten,
    Gone,
    Granted,
    Impossible,
    Seen,
    Tick,
    Waits,
    WakeAt,
    Wanted,
)
from bentofn.adapters.local.engines.checkpointed.dormitory import Dormitory
from bentofn.adapters.local.gpu.memory import GpuMemory, GpuUse, Holding, Waiting
from bentofn.adapters.local.gpu.share import Share
from bentofn.runtime.cuda.checkpoint import CannotCheckpoint
from bentofn.runtime.cuda.devices import Device
from bentofn.runtime.errors import UserError
from bentofn.runtime.gpus import VISIBLE, visible_gpus
from bentofn.runtime.protocol import GPUS, OnDevice

DEVICES = "BENTOFN_DEVICES"
"""Variable with the directory in place of ``/dev``, for tests."""

_UNKNOWN = 1000
"""Stands for the memory of a GPU whose driver does not say: parts of it can be asked for. None has
so little."""


@dataclass(frozen=True)
class Turn:
    """What asks for GPUs.

    Args:
        name: The instance.
        function: Its function, for people.
        kind: Instances of one kind need alike.
        share: What it asks for.
        unwanted: Called when others need what it has.
        waits: Told, as half a sentence, for whom it has waited for a while.
    """

    name: str
    function: str
    kind: str
    share: Share
    unwanted: Callable[[], None] = lambda: None
    waits: Callable[[str], None] = lambda _: None


class Gpus:
    """Carries out what a ledger says.

    Args:
        clock: The platform's time.
        dormitory: Whose driver is asked for the GPUs.
    """

    def __init__(self, clock: Clock, dormitory: Dormitory) -> None:
        self.driver = dormitory.driver
        self._clock = clock
        self._dormitory = dormitory
        self._finding = asyncio.Lock()
        self._ledger: Ledger | None = None
        self._devices: Mapping[str, Device] = {}
        self._turns: dict[str, tuple[Turn, asyncio.Future[tuple[str, ...]]]] = {}
        self._timer: Timer | None = None
        self.note = ""
        """Why no instance can sleep here; empty where they can."""

    @property
    def there(self) -> bool:
        """Whether this machine has GPUs, without asking their driver."""
        return bool(_without_driver())

    @property
    def names(self) -> tuple[str, ...]:
        """The GPUs that were found, as ``CUDA_VISIBLE_DEVICES`` names them."""
        return tuple(self._devices)

    async def find(self) -> None:
        """Learn what GPUs there are, once; it takes the driver seconds."""
        async with self._finding:
            if self._ledger is not None or not self.there:
                return
            found = await self._find()
            self._devices = {each.id: each for each in found}
            self._ledger = Ledger({each.id: each.memory for each in found})

    async def _find(self) -> list[Device]:
        try:
            found = await self.driver.devices()
        except CannotCheckpoint as error:
            self.note = str(error).rstrip(".")
            # How large they are nobody knows: each is for one instance at a time.
            names = enumerate(_without_driver())
            return [Device(name, number, "", _UNKNOWN) for number, name in names]
        try:
            await self.driver.version()
        except CannotCheckpoint as error:
            self.note = str(error).rstrip(".")
        return found

    async def take(self, turn: Turn, *, urgent: bool) -> tuple[str, ...]:
        """Wait for a turn; it is given back with :meth:`give`.

        Args:
            turn: Who asks.
            urgent: Whether others make room for it.

        Returns:
            The GPUs, as ``CUDA_VISIBLE_DEVICES`` names them.

        Raises:
            UserError: It can never start here.
        """
        await self.find()
        assert self._ledger is not None
        granted: asyncio.Future[tuple[str, ...]] = asyncio.get_running_loop().create_future()
        self._turns[turn.name] = turn, granted
        memory, share = None, turn.share
        if share.part is not None:
            memory = int(share.part * min(self._ledger.gpus.values()))
        self._feed(Wanted(turn.name, Claim(turn.kind, share.count, memory), urgent))
        try:
            return await granted
        except BaseException:
            self.give(turn.name)
            raise

    def seen(self, name: str, *, idle: bool, urgent: bool, serves: bool) -> None:
        """Say how an instance stands: see :class:`Seen`."""
        holder = self._ledger.holders.get(name) if self._ledger is not None else None
        now = idle, urgent, serves
        if holder is not None and (holder.idle, holder.urgent, holder.serves) != now:
            self._feed(Seen(name, *now))

    def give(self, name: str, held: OnDevice | None = None) -> None:
        """An instance has nothing on a GPU any more, or does not wait for one any more.

        Args:
            name: It.
            held: What it said of what it had.
        """
        if self._turns.pop(name, None) is not None:
            self._feed(Gone(name) if held is None else Gone(name, held.used, held.reserved))

    def forget(self, kind: str) -> None:
        """There will be no more instances of a kind."""
        self._feed(Forgotten(kind))

    def status(self) -> GpuMemory:
        """How they stand; nothing before a function has asked for one."""
        ledger, dormitory = self._ledger, self._dormitory
        if ledger is None:
            return GpuMemory()
        uses = tuple(self._use(ledger, gpu, device) for gpu, device in self._devices.items())
        waiting = tuple(
            Waiting(self._function(name), name)
            for name, each in ledger.holders.items()
            if not each.gpus
        )
        asleep = len(dormitory.sleepers()), dormitory.memory
        return GpuMemory(uses, waiting, *asleep, dormitory.limit)

    def close(self) -> None:
        """Wake nobody any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _use(self, ledger: Ledger, gpu: str, device: Device) -> GpuUse:
        tells = device.memory != _UNKNOWN
        holdings = tuple(
            Holding(
                self._function(name),
                name,
                each.memory[gpu] if tells else 0,
                ledger.is_known(each.claim),
            )
            for name, each in ledger.holders.items()
            if gpu in each.memory
        )
        on_it = sum(each.memory for each in holdings)
        name = f"{device.number} {device.model}".strip()
        return GpuUse(name, device.memory if tells else 0, on_it, holdings)

    def _function(self, name: str) -> str:
        return self._turns[name][0].function

    def _feed(self, event: Event) -> None:
        ledger = self._ledger
        if ledger is None:
            return
        for command in ledger.handle(event, self._clock.monotonic()):
            match command:
                case Granted(name, gpus):
                    granted = self._turns[name][1]
                    if not granted.done():
                        granted.set_result(gpus)
                case Impossible(name, reason):
                    self._turns[name][1].set_exception(UserError(reason))
                case Evict(name):
                    # Not at once: what called may be in the middle of that very instance's pool.
                    asyncio.get_running_loop().call_soon(self._evict, name)
                case Waits(name, others):
                    who = [f"{self._function(each)} ({each})" for each in others]
                    self._turns[name][0].waits(" and ".join(who))
                case WakeAt(time):
                    if self._timer is not None:
                        self._timer.cancel()
                    self._timer = self._clock.call_at(time, self._tick)

    def _evict(self, name: str) -> None:
        if name in self._turns:
            self._turns[name][0].unwanted()

    def _tick(self) -> None:
        self._feed(Tick())


def in_environment(gpus: tuple[str, ...]) -> dict[str, str]:
    """What tells an instance its GPUs."""
    names = ",".join(gpus)
    return {VISIBLE: names, GPUS: names}


def _without_driver() -> list[str]:
    return visible_gpus(os.environ, os.environ.get(DEVICES, "/dev"))
