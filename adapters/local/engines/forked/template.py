"""Forks every instance out of a warmed template."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from bentofn.adapters.local.engines.base import (
    TEMPLATE_ID,
    EngineRefused,
    InstanceSpec,
    Launch,
    StartFailed,
    ZygoteFailed,
)
from bentofn.adapters.local.engines.forked.parent import Parent, ParentGoneError
from bentofn.adapters.local.engines.output import Output
from bentofn.adapters.local.engines.plain import spawn, stop_all
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.restored.patience import Patience
from bentofn.adapters.local.engines.sockets import Wires

_ATTEMPTS = 2  # a template that was killed between two requests is started again once


class TemplateEngine:
    """The engine ``template``: one process constructs and warms up, every instance is a fork of it.

    Args:
        launch: What its processes are started with.
        quicker: Makes a template sooner than a new interpreter becomes one; it may give None, or
            raise what :meth:`start` does, and then an interpreter is started.
    """

    name = "template"

    def __init__(
        self, launch: Launch, quicker: Callable[[], Awaitable[Parent | None]] | None = None
    ) -> None:
        self._launch = launch
        self._quicker = quicker
        self._patience = Patience()
        self._instances: set[RunningInstance] = set()
        self._template: Parent | None = None
        self._starting = asyncio.Lock()

    async def prepare(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        await self._living()

    async def start(self, spec: InstanceSpec) -> RunningInstance:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        for _ in range(_ATTEMPTS):
            template = await self._living()
            with contextlib.suppress(ParentGoneError):
                instance = await template.clone(self._launch, spec)
                instance.keep_in(self._instances)
                return instance
        raise StartFailed("the template of this service ends whenever it is asked for an instance")

    async def close(self) -> None:
        """See :class:`bentofn.adapters.local.engines.base.Engine`."""
        await stop_all(self._instances)
        if self._template is not None:
            await self._template.stop()

    async def _living(self) -> Parent:
        async with self._starting:
            if self._template is None or not self._template.alive:
                await asyncio.to_thread(self._launch.have_compiled)
                self._template = await self._soon() or await self._spawn()
            await self._template.ready()
            return self._template

    async def _soon(self) -> Parent | None:
        now = asyncio.get_running_loop().time
        if self._quicker is None or not self._patience.allows(now()):
            return None
        try:
            template = await self._quicker()
        except (StartFailed, EngineRefused) as error:
            lasting = isinstance(error, EngineRefused) and not isinstance(error, ZygoteFailed)
            if self._patience.failed(now(), lasting=lasting, reason=str(error)):
                line = f"not made of a zygote any more: {error}"
                self._launch.log(TEMPLATE_ID, "platform", line)
            return None
        self._patience.succeeded()
        return template

    async def _spawn(self) -> Parent:
        wires = Wires.open(None)
        process = await spawn(self._launch, None, wires, "template")
        output = Output(TEMPLATE_ID, self._launch.log)
        await output.follow(wires)
        return Parent(process, wires.control, output)
