"""Many instances at once: one restore, and the rest are forks of it.

Restores of one snapshot that run side by side contend for the kernel's locks and for the
processors, so that all are ready late. A template that is restored from the same snapshot forks one
instance after the other, and the first are done while the last are made. With 50 at once on 2
processors, half had answered after 0.48 s in place of 0.99 s and the last after 0.89 s in place of
1.07 s; with 16 half after 0.19 s in place of 0.23 s, the last as late; with 8 there was no
difference. And restores share no process whose end is that of all.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from bentofn.adapters.local.engines.base import (
    TEMPLATE_ID,
    EngineRefused,
    InstanceSpec,
    Launch,
    StartFailed,
)
from bentofn.adapters.local.engines.forked.parent import Parent, ParentGoneError
from bentofn.adapters.local.engines.plain import stop_all
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.adapters.local.engines.restored.patience import Patience
from bentofn.adapters.local.engines.restored.restorer import Restorer
from bentofn.adapters.local.engines.restored.template import restore_template

LEAST = 16
"""Starts under way at a time from which on they are forks."""

_LOOK = 1.0
"""Seconds between two looks whether a template is still needed."""


class Bursts:
    """The templates of one function that are restored for a burst, and end with what they forked.

    Args:
        launch: What its processes are started with.
        restorer: The platform's.
    """

    def __init__(self, launch: Launch, restorer: Restorer) -> None:
        self._launch = launch
        self._restorer = restorer
        self._loop = asyncio.get_running_loop()
        self._under_way = 0
        self._making = asyncio.Lock()
        self._images: Path | None = None
        self._patience = Patience()
        self._parent: Parent | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._instances: set[RunningInstance] = set()

    @contextlib.contextmanager
    def start(self) -> Iterator[None]:
        """A start is under way inside of the block."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def fork(self, images: Path, spec: InstanceSpec) -> RunningInstance | None:
        """Fork an instance, where a burst makes that the faster way.

        Args:
            images: The images of the snapshot.
            spec: The instance.

        Returns:
            None where it is better restored, or cannot be forked.
        """
        await asyncio.sleep(0)  # who was called at the same time is under way after this
        if self._under_way < LEAST or not self._may_fork(images):
            return None
        try:
            parent = await self._living(images)
            instance = await parent.clone(self._launch, spec)
        except (StartFailed, EngineRefused, ParentGoneError):
            return None
        instance.keep_in(self._instances)
        return instance

    async def close(self) -> None:
        """End all that runs."""
        await stop_all(self._instances)
        for ending in list(self._endings):
            ending.cancel()
        await asyncio.gather(*self._endings, return_exceptions=True)

    async def _living(self, images: Path) -> Parent:
        async with self._making:
            parent = self._parent
            if parent is None or not parent.alive or images != self._images:
                parent = self._parent = await self._restored(images)
                ending = asyncio.create_task(self._end(parent))
                self._endings.add(ending)
                ending.add_done_callback(self._endings.discard)
            return parent

    def _may_fork(self, images: Path) -> bool:
        return images != self._images or self._patience.allows(self._loop.time())

    async def _restored(self, images: Path) -> Parent:
        if not self._may_fork(images):  # who waited for its turn would wait to hear the same
            raise EngineRefused("it could not be forked a moment ago")
        if images != self._images:
            self._parent, self._images, self._patience = None, images, Patience()
        try:
            parent = await restore_template(self._launch, self._restorer, images)
        except (StartFailed, EngineRefused) as error:
            lasting = isinstance(error, EngineRefused)
            if self._patience.failed(self._loop.time(), lasting=lasting, reason=str(error)):
                line = f"bursts are not forked any more: {error}"
                self._launch.log(TEMPLATE_ID, "platform", line)
            raise
        self._patience.succeeded()
        return parent

    async def _end(self, parent: Parent) -> None:
        """End a template when the burst is over and its last fork has ended."""
        try:
            while self._under_way or parent.clones:  # noqa: ASYNC110 - nobody waits for this
                await asyncio.sleep(_LOOK)
        finally:
            if self._parent is parent:
                self._parent = None
            await parent.stop()
