"""The platform's view of one instance that it started: its events, its orders, its end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from bentofn.adapters.local.engines.base import EngineRefused, InstanceSpec, Log, StartFailed
from bentofn.adapters.local.engines.children import kill_session, send_signal
from bentofn.adapters.local.engines.inbox import Inbox, read_to_end
from bentofn.adapters.local.engines.output import Output, ended
from bentofn.adapters.local.engines.sockets import Wires
from bentofn.adapters.local.isolation.policy import Tenancy
from bentofn.runtime.protocol import Failed, OnDevice, Park, Ready, Refused, Sleep, encode


class RunningInstance:
    """An instance, however it was started.

    Args:
        id_: Its name.
        pid: Its process, which leads a session of its own; 0 if it has ended already.
        path: Its socket.
        control: The platform's end of its control socket.
        output: Its output.
        exit_: Becomes its exit status when it ends.
        tenancy: Its stay in its cell.
    """

    def __init__(
        self,
        id_: str,
        pid: int,
        path: Path,
        control: socket.socket,
        output: Output,
        exit_: asyncio.Future[int | None],
        tenancy: Tenancy,
    ) -> None:
        self.id = id_
        self.pid = pid
        self.socket_path = path
        self._control = control
        self._output = output
        self._exit = exit_
        self._left = asyncio.get_running_loop().create_future()
        self.on_device: OnDevice | None = None
        """What it has on a GPU, as it said when it served no more."""
        self.holds_early = False
        """Whether it had something there at its snapshot point."""
        self._tenancy = tenancy
        self._failure: Exception | None = None
        self._parks = False
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # An instance that nobody waits for may fail without a warning about it.
        self._ready.add_done_callback(lambda ready: ready.cancelled() or ready.exception())
        self._reading = asyncio.create_task(self._read())
        self._life = asyncio.create_task(self._live())

    @classmethod
    async def of(
        cls,
        spec: InstanceSpec,
        path: Path,
        wires: Wires,
        pid: int,
        exit_: asyncio.Future[int | None],
        tenancy: Tenancy,
        log: Log,
    ) -> RunningInstance:
        """An instance whose process has just been started: its limits begin, its output is read."""
        output = Output(spec.instance_id, log)
        tenancy.begin(pid, output.warn)
        await output.follow(wires)
        return cls(spec.instance_id, pid, path, wires.control, output, exit_, tenancy)

    def keep_in(self, instances: set[RunningInstance]) -> None:
        """Be in a set while this instance lives."""
        instances.add(self)
        self.when_ended(lambda: instances.discard(self))

    def when_ended(self, call: Callable[[], object]) -> None:
        """Have a function called when this instance has ended."""
        self._exit.add_done_callback(lambda _: call())

    @property
    def verdict(self) -> str:
        """See :class:`bentofn.adapters.local.engines.base.Instance`."""
        return self._left.result() if self._left.done() else self._tenancy.verdict

    async def ready(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Instance`."""
        await asyncio.shield(self._ready)

    async def wait(self) -> int | None:
        """See :class:`bentofn.adapters.local.engines.base.Instance`."""
        await asyncio.shield(self._life)
        return None if self._left.done() else self._exit.result()

    async def stop(self, grace: float) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Instance`."""
        if self._lives:
            send_signal(self.pid, signal.SIGTERM)
            await asyncio.wait([self._exit], timeout=grace)
        if self._lives:
            send_signal(self.pid, signal.SIGKILL)
        await self.wait()

    async def park(self, wire: Path, patience: float) -> None:
        """Have a restored instance finish what it serves and be ready for a snapshot.

        Args:
            wire: An empty file that it keeps open meanwhile.
            patience: Seconds.

        Raises:
            EngineRefused: It cannot be kept; it ends.
            StartFailed: It ended, or did not park in time.
        """
        with contextlib.suppress(OSError):
            data = encode(Park(os.fspath(wire)))
            await asyncio.get_running_loop().sock_sendall(self._control, data)
        await self._parked(patience)

    async def sleep(self, patience: float) -> socket.socket:
        """Have an instance finish what it serves and wait, in its process, until it is needed.

        Args:
            patience: Seconds.

        Returns:
            Where it is told what to be next; it ends when that is closed.

        Raises:
            EngineRefused: It cannot sleep; it ends.
            StartFailed: It ended, or did not come to sleep in time.
        """
        wire, remote = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        wire.setblocking(False)
        try:
            with remote, contextlib.suppress(OSError):
                socket.send_fds(self._control, [encode(Sleep())], [remote.fileno()])
            await self._parked(patience)
        except BaseException:
            wire.close()
            raise
        return wire

    def leave(self, why: str) -> tuple[int, asyncio.Future[int | None]]:
        """Be no instance any more, while its process lives on.

        Args:
            why: What its end is told to be.

        Returns:
            Its process, and what becomes its exit status.
        """
        self._left.set_result(why)
        return self.pid, self._exit

    @property
    def _lives(self) -> bool:
        return not (self._exit.done() or self._left.done())

    async def _parked(self, patience: float) -> None:
        done, _ = await asyncio.wait([self._reading], timeout=patience)
        if not done:
            raise StartFailed(f"it did not finish within {patience:g} s")
        if not self._parks:
            raise self._failure or StartFailed("it ended")

    async def _live(self) -> None:
        await asyncio.wait([self._exit, self._left], return_when=asyncio.FIRST_COMPLETED)
        status = None if self._left.done() else self._exit.result()
        if not self._left.done():
            kill_session(self.pid)
        await self._output.drained()
        await read_to_end(self._reading)
        self._control.close()
        self.socket_path.unlink(missing_ok=True)
        await self._tenancy.end()
        if not self._ready.done():
            why = self.verdict or ended(status, self._output)
            failure = self._failure or StartFailed(why)
            self._ready.set_exception(failure)

    async def _read(self) -> None:
        async for message in Inbox(self._control).messages():
            if isinstance(message, Ready):
                self._parks = self._ready.done()
                if not self._parks:
                    self._tenancy.serves()
                    self._ready.set_result(None)
            elif isinstance(message, OnDevice):
                # What it has before it is ready lacks what requests need.
                if self._ready.done():
                    self.on_device = message
                self.holds_early |= message.early
            elif isinstance(message, Failed):
                self._failure = StartFailed(message.error)
            elif isinstance(message, Refused):
                self._failure = EngineRefused(message.error)
