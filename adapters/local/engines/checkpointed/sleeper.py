"""A process that sleeps: it serves nobody, and has no memory on a GPU."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from dataclasses import dataclass, field

from bentofn.adapters.local.engines.children import kill_session, send_signal
from bentofn.adapters.local.isolation.policy import Tenancy
from bentofn.runtime.protocol import Restore, encode


@dataclass(eq=False)
class Sleeper:
    """One process.

    Args:
        name: The instance that it was.
        pid: It; it leads a session.
        exit: Becomes its exit status when it ends.
        wire: Through which it is told what to be next; it ends when this is closed.
        tenancy: Where its memory counts.
        gpus: Those that its memory was taken off: it fits there only.
        memory: Bytes that were taken.
    """

    name: str
    pid: int
    exit: asyncio.Future[int | None]
    wire: socket.socket
    tenancy: Tenancy
    gpus: tuple[str, ...]
    memory: int
    _ending: asyncio.Task[None] | None = field(default=None, init=False)

    @property
    def lives(self) -> bool:
        """Whether it has not ended by itself."""
        return not self.exit.done()

    async def tell(self, request: Restore, fds: list[int]) -> None:
        """Say what it is from now on, and give it what it needs for that.

        Raises:
            OSError: It has ended.
        """
        data = encode(request)
        sent = socket.send_fds(self.wire, [data], fds)
        if sent < len(data):  # else it may have closed its end already, having heard all
            await asyncio.get_running_loop().sock_sendall(self.wire, data[sent:])
        self.wire.close()

    async def end(self) -> None:
        """End it, with all that it started, and wait."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        await asyncio.shield(self._ending)

    async def _end(self) -> None:
        self.wire.close()
        if self.lives:
            send_signal(self.pid, signal.SIGKILL)
            await asyncio.wait([self.exit])
        with contextlib.suppress(OSError):
            kill_session(self.pid)
        await self.tenancy.end()
