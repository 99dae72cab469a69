"""All processes of a platform that sleep, within a limit of host memory."""

from __future__ import annotations

import asyncio
import os

from bentofn.adapters.local.engines.checkpointed.driver import Driver
from bentofn.adapters.local.engines.checkpointed.sleeper import Sleeper
from bentofn.packager.snapshot.limit import size_of

LIMIT = "BENTOFN_CHECKPOINTS_MAX"
"""Variable with the host memory that GPU memory may take, such as ``64GiB``; 0 is none at all."""


class Dormitory:
    """They, and who takes their memory off the GPUs."""

    def __init__(self) -> None:
        self.driver = Driver()
        self._sleepers: dict[Sleeper, None] = {}
        self._limit: int | None = None
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def memory(self) -> int:
        """Bytes of GPU memory that are in host memory."""
        return sum(each.memory for each in self._sleepers)

    @property
    def limit(self) -> int:
        """Bytes that may be there: half of the machine's memory, unless the variable says.

        Raises:
            UserError: The variable is no size.
        """
        if self._limit is None:
            installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
            self._limit = size_of(LIMIT, installed // 2)
        return self._limit

    def sleepers(self) -> list[Sleeper]:
        """Those that sleep, the one that has slept longest first."""
        return list(self._sleepers)

    def has_room(self, memory: int) -> bool:
        """Whether something of this size may sleep at all."""
        return memory <= self.limit and self.limit > 0

    async def put(self, sleeper: Sleeper) -> None:
        """One sleeps from now on; others that have slept longer may have to end for it."""
        self._sleepers[sleeper] = None
        sleeper.exit.add_done_callback(lambda _: self._ended(sleeper))
        while self.memory > self.limit and len(self._sleepers) > 1:
            oldest = next(iter(self._sleepers))
            self.take(oldest)
            await oldest.end()

    def take(self, sleeper: Sleeper) -> None:
        """One sleeps no more."""
        self._sleepers.pop(sleeper, None)

    async def close(self) -> None:
        """End all, and the driver's calls."""
        for sleeper in self.sleepers():
            self.take(sleeper)
            await sleeper.end()
        await asyncio.gather(*self._endings, return_exceptions=True)
        await self.driver.close()

    def _ended(self, sleeper: Sleeper) -> None:
        """It may have ended by itself."""
        if sleeper in self._sleepers:
            self.take(sleeper)
            ending = asyncio.ensure_future(sleeper.end())
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
