"""Forks every instance out of a warmed template."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentofn.adapters.local.engines.base import (
    TEMPLATE_ID,
    EngineRefused,
    InstanceSpec,
    Launch,
    Log,
    StartFailed,
)
from bentofn.adapters.local.engines.plain import spawn, status_of, stop_all
from bentofn.adapters.local.engines.process import (
    DRAIN,
    Output,
    RunningInstance,
    ended,
    kill_session,
    messages,
)
from bentofn.adapters.local.engines.sockets import Wires, socket_path
from bentofn.runtime.protocol import (
    Exited,
    Failed,
    Fork,
    Forked,
    ForkFailed,
    Ready,
    Refused,
    encode,
)

_ATTEMPTS = 2  # a template that was killed between two requests is started again once


class TemplateGoneError(Exception):
    """The template ended while it was asked to fork."""


class Template:
    """One template process.

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
        self._turn = asyncio.Lock()
        self._failure: Exception | None = None
        self._ready: asyncio.Future[None] = loop.create_future()
        self._ready.add_done_callback(_seen)
        self._life = asyncio.create_task(self._live())

    @property
    def alive(self) -> bool:
        """Whether it can be asked to fork."""
        return not self._life.done()

    async def ready(self) -> None:
        """Wait until it can fork.

        Raises:
            EngineRefused: The service cannot be forked.
            StartFailed: The service cannot be started.
        """
        await asyncio.shield(self._ready)

    async def fork(self, request: Fork, wires: Wires) -> tuple[int, asyncio.Future[int | None]]:
        """Ask for a clone on these wires, whose remote ends are closed.

        A caller that gives up leaves the template in order; the clone then ends by itself, when the
        platform's ends of its wires are closed.

        Returns:
            Its process id and what becomes its exit status.

        Raises:
            StartFailed: The template could not fork.
            TemplateGoneError: The template has ended.
        """
        asking = asyncio.create_task(self._ask(request, wires))
        asking.add_done_callback(_seen)
        return await asyncio.shield(asking)

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
            raise TemplateGoneError
        fds = [wires.listener.fileno(), wires.remote_control.fileno()]
        fds += [wires.remote_stdout, wires.remote_stderr]
        answer: asyncio.Future[int] = loop.create_future()
        exit_: asyncio.Future[int | None] = loop.create_future()
        self._answers[request.id], self._exits[request.id] = answer, exit_
        data = encode(request)
        try:
            # One request at a time: the socket's buffer is empty and takes the first piece.
            sent = socket.send_fds(self._control, [data], fds)
            await loop.sock_sendall(self._control, data[sent:])
            return await answer, exit_
        except OSError:
            raise TemplateGoneError from None
        finally:
            self._answers.pop(request.id, None)

    async def _live(self) -> None:
        reading = asyncio.create_task(self._read())
        status = await status_of(self._process)
        kill_session(self._process.pid)
        await self._output.drained()
        await asyncio.wait([reading], timeout=DRAIN)
        reading.cancel()
        self._control.close()
        if not self._ready.done():
            failure = self._failure or StartFailed(ended(status, self._output))
            self._ready.set_exception(failure)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(TemplateGoneError())
        for exit_ in self._exits.values():
            exit_.set_result(None)

    async def _read(self) -> None:
        async for message in messages(self._control):
            if isinstance(message, Ready) and not self._ready.done():
                self._ready.set_result(None)
            elif isinstance(message, Refused):
                self._failure = EngineRefused(message.error)
            elif isinstance(message, Failed):
                self._failure = StartFailed(message.error)
            elif isinstance(message, Forked):
                self._answers[message.id].set_result(message.pid)
            elif isinstance(message, ForkFailed):
                del self._exits[message.id]
                self._answers[message.id].set_exception(StartFailed(message.error))
            elif isinstance(message, Exited):
                self._exits.pop(message.id).set_result(message.status)


def _seen(future: asyncio.Future[Any]) -> None:
    """Let a failure that nobody waits for pass without a warning."""
    if not future.cancelled():
        future.exception()


class TemplateEngine:
    """The engine ``template``: one process constructs and warms up, every instance is a fork of it.

    Args:
        root: The bento's root.
        python: The interpreter.
        env: The environment of the template and of every instance; nothing is inherited from the
            platform.
        sockets: A short directory, only its owner's, for the instances' sockets.
        log: Called with an instance's id (``template`` for the template), the stream and a line.
    """

    name = "template"

    def __init__(
        self, root: Path, python: Path, env: Mapping[str, str], sockets: Path, log: Log
    ) -> None:
        self._launch = Launch(root, python, env, sockets, log)
        self._instances: set[RunningInstance] = set()
        self._template: Template | None = None
        self._starting = asyncio.Lock()

    async def prepare(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        await self._living()

    async def start(self, spec: InstanceSpec) -> RunningInstance:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        for _ in range(_ATTEMPTS):
            template = await self._living()
            with contextlib.suppress(TemplateGoneError):
                return await self._clone(template, spec)
        raise StartFailed("the template of this service ends whenever it is asked for an instance")

    async def close(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        await stop_all(self._instances)
        if self._template is not None:
            await self._template.stop()

    async def _living(self) -> Template:
        async with self._starting:
            if self._template is None or not self._template.alive:
                self._template = await self._spawn()
            await self._template.ready()
            return self._template

    async def _spawn(self) -> Template:
        wires = Wires.open(None)
        process = await spawn(self._launch, None, wires, "template")
        output = Output(TEMPLATE_ID, self._launch.log)
        await output.follow(wires)
        return Template(process, wires.control, output)

    async def _clone(self, template: Template, spec: InstanceSpec) -> RunningInstance:
        path = socket_path(self._launch.sockets, spec.instance_id)
        wires = Wires.open(path)
        request = Fork(spec.instance_id, spec.threads, self._launch.environment(spec))
        try:
            pid, exit_ = await template.fork(request, wires)
        except BaseException:
            wires.close()
            path.unlink(missing_ok=True)
            raise
        output = Output(spec.instance_id, self._launch.log)
        await output.follow(wires)
        instance = RunningInstance(spec.instance_id, pid, path, wires.control, output, exit_)
        self._instances.add(instance)
        exit_.add_done_callback(lambda _: self._instances.discard(instance))
        return instance
