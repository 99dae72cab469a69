"""The platform's view of a process that forks instances: a template or a zygote."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import socket
from typing import Any

from bentofn.adapters.local.engines.base import EngineRefused, InstanceSpec, Launch, StartFailed
from bentofn.adapters.local.engines.children import Process, kill_session, number_here
from bentofn.adapters.local.engines.inbox import Inbox, read_to_end
from bentofn.adapters.local.engines.output import Output, ended
from bentofn.adapters.local.engines.places import place
from bentofn.adapters.local.engines.plain import status_of
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.sockets import Wires
from bentofn.runtime.protocol import (
    Exited,
    Failed,
    Fork,
    Forked,
    ForkFailed,
    Ready,
    Refused,
    Threaded,
    Warmed,
    encode,
)
from bentofn.runtime.stages import stage


class ParentGoneError(Exception):
    """The process ended while it was asked to fork."""


class PackageStartsThreads(EngineRefused):
    """Importing a package starts a thread, which no fork survives; the message is its name."""


class Parent:
    """One process that forks.

    Args:
        process: The process.
        control: The platform's end of its control socket.
        output: Its output.
    """

    def __init__(self, process: Process, control: socket.socket, output: Output) -> None:
        loop = asyncio.get_running_loop()
        self._process = process
        self._control = control
        self._output = output
        self._exits: dict[str, asyncio.Future[int | None]] = {}
        self._answers: dict[str, asyncio.Future[int]] = {}
        self._numbers = itertools.count(1)
        self._turn = asyncio.Lock()
        self._failure: Exception | None = None
        self._ready: asyncio.Future[Ready | Warmed] = loop.create_future()
        self._ready.add_done_callback(_seen)
        self._life = asyncio.create_task(self._live())

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked to fork."""
        return not self._life.done()

    @property
    def clones(self) -> int:
        """How many of its forks live."""
        return len(self._exits)

    async def ready(self) -> Ready | Warmed:
        """Wait until it can fork; returns what it then said.

        Raises:
            EngineRefused: It must not fork.
            StartFailed: The service cannot be started.
        """
        return await asyncio.shield(self._ready)

    async def clone(self, launch: Launch, spec: InstanceSpec) -> RunningInstance:
        """Fork an instance; it is not ready yet when this returns.

        Raises:
            StartFailed: It could not fork.
            ParentGoneError: It has ended.
        """
        # Functions that share a zygote may name their instances alike.
        id_ = f"{next(self._numbers)}:{spec.instance_id}"
        request = Fork(id_, spec.threads, launch.environment(spec))
        async with place(launch, spec) as at:
            with stage("fork"):
                pid, exit_ = await self.fork(request, at.wires)
        return await RunningInstance.of(spec, at.path, at.wires, pid, exit_, at.tenancy, launch.log)

    async def fork(self, request: Fork, wires: Wires) -> tuple[int, asyncio.Future[int | None]]:
        """Ask for a clone on these wires, whose remote ends are closed.

        A caller that gives up leaves the process in order; the clone then ends by itself, when the
        platform's ends of its wires are closed.

        Returns:
            Its process id and what becomes its exit status.

        Raises:
            StartFailed: It could not fork.
            ParentGoneError: It has ended.
        """
        asking = asyncio.create_task(self._ask(request, wires))
        asking.add_done_callback(_seen)
        return await asyncio.shield(asking)

    async def childless(self) -> None:
        """Wait until none of its forks lives."""
        while self._exits:
            await asyncio.wait(list(self._exits.values()))

    async def stop(self) -> None:
        """Kill it, and with it what it forked, and wait until it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._life

    async def _ask(self, request: Fork, wires: Wires) -> tuple[int, asyncio.Future[int | None]]:
        try:
            async with self._turn:
                return await self._send(request, wires)
        finally:
            wires.close_remote()

    async def _send(self, request: Fork, wires: Wires) -> tuple[int, asyncio.Future[int | None]]:
        loop = asyncio.get_running_loop()
        if not self.alive or wires.listener is None:
            raise ParentGoneError
        answer: asyncio.Future[int] = loop.create_future()
        exit_: asyncio.Future[int | None] = loop.create_future()
        self._answers[request.id], self._exits[request.id] = answer, exit_
        data = encode(request)
        try:
            # One request at a time: the socket's buffer is empty and takes the first piece.
            sent = socket.send_fds(self._control, [data], wires.remote_fds())
            await loop.sock_sendall(self._control, data[sent:])
            return await answer, exit_
        except OSError:
            raise ParentGoneError from None
        finally:
            self._answers.pop(request.id, None)

    async def _live(self) -> None:
        reading = asyncio.create_task(self._read())
        status = await status_of(self._process)
        kill_session(self._process.pid)
        await self._output.drained()
        await read_to_end(reading)
        self._control.close()
        if not self._ready.done():
            failure = self._failure or StartFailed(ended(status, self._output))
            self._ready.set_exception(failure)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ParentGoneError())
        for exit_ in self._exits.values():
            exit_.set_result(None)
        self._exits.clear()

    async def _read(self) -> None:
        inbox = Inbox(self._control)
        async for message in inbox.messages():
            if isinstance(message, (Ready, Warmed)) and not self._ready.done():
                self._ready.set_result(message)
            elif isinstance(message, Refused):
                self._failure = EngineRefused(message.error)
            elif isinstance(message, Threaded):
                self._failure = PackageStartsThreads(message.package)
            elif isinstance(message, Failed):
                self._failure = StartFailed(message.error)
            elif isinstance(message, Forked):
                handle = inbox.take_fd()
                pid = message.pid if handle is None else number_here(handle)
                self._answers[message.id].set_result(pid)
            elif isinstance(message, ForkFailed):
                del self._exits[message.id]
                self._answers[message.id].set_exception(StartFailed(message.error))
            elif isinstance(message, Exited):
                self._exits.pop(message.id).set_result(message.status)


def _seen(future: asyncio.Future[Any]) -> None:
    """Let a failure that nobody waits for pass without a warning."""
    if not future.cancelled():
        future.exception()
