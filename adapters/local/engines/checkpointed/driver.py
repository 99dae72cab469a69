"""The driver's calls, for an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bentofn.runtime.cuda.controller import Controller
from bentofn.runtime.cuda.devices import Device

T = TypeVar("T")

AT_ONCE = 8
"""Orders that wait for the driver at a time. Each may take minutes, and so must not have one of the
few threads that asyncio has for all else."""


class Driver:
    """A resident controller, whose orders wait in threads of their own."""

    def __init__(self) -> None:
        self.controller = Controller()
        self._threads = ThreadPoolExecutor(AT_ONCE, "bentofn-driver")

    async def devices(self) -> list[Device]:
        """See :class:`bentofn.runtime.cuda.controller.Controller`; as the others here."""
        return await self._order(self.controller.devices)

    async def version(self) -> int:
        """The CUDA that the driver is for, where it can checkpoint."""
        return await self._order(self.controller.version)

    async def take_out(self, pid: int) -> None:
        """Take a process's memory off the GPU."""
        await self._order(lambda: self.controller.take_out(pid))

    async def put_back(self, pid: int) -> None:
        """Put a process's memory back on the GPU."""
        await self._order(lambda: self.controller.put_back(pid))

    async def close(self) -> None:
        """End the controller, and with it all orders."""
        await asyncio.to_thread(self.controller.close)
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _order(self, order: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, order)
