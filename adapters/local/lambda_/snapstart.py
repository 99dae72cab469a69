"""SnapStart's flow: runtimes that have been initialised wait at their snapshot point.

A version is published by bringing one runtime there, hooks before the snapshot included. An
environment that starts takes it and lets it go on: that is its restore. The next one is begun at
once, so that a restore never waits for an initialisation unless several come together.

Source: https://docs.aws.amazon.com/lambda/latest/dg/snapstart.html
"""

from __future__ import annotations

import asyncio
import os

from bentofn.adapters.local.engines.base import StartFailed
from bentofn.adapters.local.lambda_ import report
from bentofn.adapters.local.lambda_.failures import RuntimeFailed, describe
from bentofn.adapters.local.lambda_.runtime import Runtime
from bentofn.adapters.local.lambda_.setup import Setup

LEAST_TIMEOUT = 130.0
"""Seconds that an initialisation may take, or the function's timeout where that is longer. Source:
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-best-practices.html"""


class SnapStart:
    """The runtimes of one version that wait to be restored.

    Args:
        setup: The function's, with ``snap_start``.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._waiting: asyncio.Task[Runtime] | None = None
        self._begun: set[asyncio.Task[Runtime]] = set()
        self._closed = False
        self.published = False
        """Whether a runtime has been at its snapshot point."""

    @property
    def _is_there(self) -> bool:
        """Whether a runtime waits there now."""
        waiting = self._waiting
        return (
            waiting is not None
            and waiting.done()
            and not waiting.cancelled()
            and waiting.exception() is None
        )

    async def publish(self) -> None:
        """Bring a runtime to its snapshot point, unless one is there.

        Raises:
            StartFailed: It does not get there; the sentence is its own.
        """
        if self._waiting is None or (self._waiting.done() and not self._is_there):
            self._begin()
        assert self._waiting is not None
        await asyncio.shield(self._waiting)

    async def take(self, name: str) -> Runtime:
        """A runtime at its snapshot point, which is the caller's from now on.

        Args:
            name: What it is to be called.

        Raises:
            StartFailed: There is none, and none comes to be.
        """
        while True:
            await self.publish()
            waiting = self._waiting
            # Somebody else may have taken it meanwhile.
            if waiting is not None and waiting.done():
                self._waiting = None
                runtime = waiting.result()
                self._begin()
                if not runtime.ended:
                    runtime.name = name
                    return runtime

    async def close(self) -> None:
        """End what waits."""
        self._closed = True
        for task in list(self._begun):
            task.cancel()
        await asyncio.gather(*self._begun, return_exceptions=True)
        if self._is_there:
            assert self._waiting is not None
            await self._waiting.result().kill()

    def _begin(self) -> None:
        if self._closed:
            raise StartFailed("the function is being stopped")
        task = asyncio.create_task(self._initialise())
        # Who does not wait for it hears of its failure when the next one is asked for.
        task.add_done_callback(lambda t: t.cancelled() or t.exception())
        task.add_done_callback(self._begun.discard)
        self._begun.add(task)
        self._waiting = task

    async def _initialise(self) -> Runtime:
        # A name of its own, as its cell has that name too.
        name = f"snapshot-{os.urandom(4).hex()}"
        runtime = Runtime(self._setup, name)
        loop = asyncio.get_running_loop()
        limit = max(LEAST_TIMEOUT, self._setup.function.timeout)
        began, trouble = loop.time(), ""
        try:
            await runtime.start()
            await asyncio.wait_for(runtime.parked(), limit)
        except RuntimeFailed as failure:
            trouble = describe(failure)
        except asyncio.TimeoutError:
            trouble = f"it was not initialised within {limit:g} s"
        except BaseException:
            await asyncio.shield(runtime.kill())
            raise
        took = (loop.time() - began) * 1000
        line = report.phase("INIT init", took, "error" if trouble else "")
        self._setup.log(name, "platform", line)
        if trouble:
            await runtime.kill()
            raise StartFailed(trouble)
        self.published = True
        return runtime
