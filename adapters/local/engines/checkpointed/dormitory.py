"""All processes of a platform that sleep, within a limit of host memory."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bentofn.adapters.local.engines.base import EngineRefused
from bentofn.adapters.local.engines.checkpointed.driver import Driver
from bentofn.adapters.local.engines.checkpointed.sleeper import Sleeper
from bentofn.packager.snapshot.limit import size_of

LIMIT = "BENTOFN_CHECKPOINTS_MAX"
"""Variable with the host memory that GPU memory may take, such as ``64GiB``; 0 is none at all."""


class Dormitory:
    """They, and who takes their memory off the GPUs.

    Raises:
        UserError: :data:`LIMIT` is no size.
    """

    def __init__(self) -> None:
        installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self.limit = size_of(LIMIT, installed // 2)
        """Bytes that may be in host memory: half of the machine's, unless the variable says."""
        self.driver = Driver()
        self._sleepers: dict[Sleeper, None] = {}
        self._coming = 0
        """Bytes of those that are about to sleep."""
        self._endings: set[asyncio.Task[None]] = set()

    @property
    def memory(self) -> int:
        """Bytes of GPU memory that are in host memory."""
        return sum(each.memory for each in self._sleepers)

    def sleepers(self) -> list[Sleeper]:
        """Those that sleep, the one that has slept longest first."""
        return list(self._sleepers)

    @asynccontextmanager
    async def room(self, memory: int) -> AsyncIterator[None]:
        """Keep host memory inside of the block for one that is about to sleep.

        Those that have slept longest end first where there is too little: the memory is taken
        before it is seen whether there is enough.

        Args:
            memory: Bytes.

        Raises:
            EngineRefused: So much may not be there.
        """
        if self._coming + memory > self.limit:
            raise EngineRefused("there is too little host memory for what it has on the GPU")
        self._coming += memory
        try:
            while self.memory + self._coming > self.limit:
                oldest = next(iter(self._sleepers))
                self.take(oldest)
                await oldest.end()
            yield
        finally:
            self._coming -= memory

    def put(self, sleeper: Sleeper) -> None:
        """One sleeps from now on."""
        self._sleepers[sleeper] = None
        sleeper.exit.add_done_callback(lambda _: self._ended(sleeper))

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
