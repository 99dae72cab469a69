"""A service that is checkpointed while it serves: renewed before it answers another request.

Its memory is as it was, and so are its random generators, in every copy. So the first request after
a restore, and all that come with it, wait until the process is one of its own.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

from bentofn.runtime import lifecycle, renew
from bentofn.runtime.checkpoints.identity import Watch
from bentofn.runtime.hooks import run_after_restore
from bentofn.runtime.http.exchange import ASGIApp, Receive, Scope, Send
from bentofn.runtime.idle_connections import (
    close_idle_connections,
    close_idle_connections_of_loop,
)
from bentofn.runtime.renew.clocks import find_clocks


class Renewed:
    """An ASGI application whose process may be restored from outside, from its start-up on.

    Args:
        app: It.
        instance: The service's instance.
        watch: Makes what notices.
    """

    def __init__(self, app: ASGIApp, instance: object, watch: Callable[[], Watch] = Watch) -> None:
        self._app = app
        self._instance = instance
        self._make_watch = watch
        self._watch: Watch | None = None
        self._clocks: Sequence[renew.Renewal] = ()
        self._renewing: asyncio.Task[None] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """See the ASGI specification."""
        if scope["type"] == "lifespan":  # in each process that serves
            self._begin()
        if self._renewing is None:
            if self._watch is None or not self._watch.is_restored():
                return self._app(scope, receive, send)
            self._renewing = asyncio.create_task(self._renew())  # at once: it is noticed only once
        return self._answer_after(self._renewing, scope, receive, send)

    def _begin(self) -> None:
        self._watch, self._clocks = self._make_watch(), find_clocks()

    async def _answer_after(
        self, renewing: asyncio.Task[None], scope: Scope, receive: Receive, send: Send
    ) -> None:
        await asyncio.shield(renewing)
        await self._app(scope, receive, send)

    async def _renew(self) -> None:
        print("Restored from a checkpoint: renewing.", flush=True)
        try:
            renew.renew(self._clocks)
            self._begin()  # when it was started is told by its clocks, as they are now
            renew.renew(renew.find(self._instance))
            close_idle_connections()
            await close_idle_connections_of_loop()
            await asyncio.to_thread(run_after_restore, self._instance)  # hooks may be coroutines
        except Exception as error:
            print(f"Error: {lifecycle.explain(error)}", file=sys.stderr, flush=True)
            os._exit(1)
        self._renewing = None
