"""What a start from a snapshot needs is measured once, with an instance that started from it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Container

from bentofn.adapters.local.engines.base import EngineRefused, StartFailed
from bentofn.adapters.local.engines.process import RunningInstance
from bentofn.packager.snapshot.criu.readahead import ReadAhead

LEARN_AFTER = 1.0
"""Seconds after which an instance that is ready has answered the request that it was started for,
and has touched what such a start needs."""


class Learning:
    """The measuring of one snapshot's hot set, in the background."""

    def __init__(self) -> None:
        self._work: asyncio.Task[None] | None = None

    def begin(
        self, ahead: ReadAhead, instance: RunningInstance, living: Container[RunningInstance]
    ) -> None:
        """Measure, unless that is done or under way.

        Args:
            ahead: Keeps what is learnt.
            instance: It was just started from the snapshot.
            living: Where it is while it lives; if it is gone too early, the next one is measured.
        """
        if not ahead.known and (self._work is None or self._work.done()):
            self._work = asyncio.create_task(_learn(ahead, instance, living))

    def cancel(self) -> None:
        """Call it off."""
        if self._work is not None:
            self._work.cancel()


async def _learn(
    ahead: ReadAhead, instance: RunningInstance, living: Container[RunningInstance]
) -> None:
    with contextlib.suppress(StartFailed, EngineRefused):
        await instance.ready()
    await asyncio.sleep(LEARN_AFTER)
    if instance in living:
        await asyncio.to_thread(ahead.learn, instance.pid)
