"""Processes that were restored: children of the platform that asyncio did not start."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class Offspring:
    """A process that was restored, as a child of the platform.

    Args:
        pid: Its process.
        exit: Becomes its exit status when it ends; None if somebody else learnt it.
    """

    pid: int
    exit: asyncio.Future[int | None]

    async def wait(self) -> int:
        """See :class:`bentofn.adapters.local.engines.children.Process`."""
        status = await asyncio.shield(self.exit)
        return -signal.SIGKILL if status is None else status

    def send_signal(self, signum: int) -> None:
        """See :class:`bentofn.adapters.local.engines.children.Process`."""
        if not self.exit.done():
            os.kill(self.pid, signum)


def watch(pid: int) -> asyncio.Future[int | None]:
    """The exit status of a child that asyncio did not start, negative for a signal.

    asyncio's own watchers wait for their own children by number, so this takes nothing from them.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int | None] = loop.create_future()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        ended.set_result(None)
        return ended

    def reap() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            ended.set_result(None)
        else:
            ended.set_result(os.waitstatus_to_exitcode(status))

    loop.add_reader(descriptor, reap)
    return ended
