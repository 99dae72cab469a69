"""Which of a service's mounted applications answers a request, and their starts and stops.

Routes are Starlette's own, so that an application sees the paths that it would see below
BentoML, whichever version of Starlette it came with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Match
from starlette.routing import Mount as MountRoute

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.http.exchange import ASGIApp, Exchange, Message, Scope
from bentofn.runtime.mounts import Mount

import_module("anyio._backends._asyncio")
# Starlette runs sync endpoints with it, and the first of them would wait for its import.


@dataclass(frozen=True)
class Mounted:
    """An application that answers a request.

    Args:
        app: The application.
        scope: The request's scope, as the application sees it.
        route: The path of the application's route, for metrics.
    """

    app: ASGIApp
    scope: Scope
    route: str

    async def answer(self, exchange: Exchange) -> None:
        """Answer a request.

        Raises:
            BentoMLException: The body is larger than the service takes (413), whatever the
                application made of that.
        """
        limited = _Limited(exchange)
        try:
            await self.app(self.scope, limited.receive, limited.send)
        except Exception:
            if limited.refusal is None:
                raise
        if limited.refusal is not None:
            raise limited.refusal


class _Limited:
    """A request's channels as a mounted application has them, which reads no more than may come."""

    def __init__(self, exchange: Exchange) -> None:
        self.refusal: BentoMLException | None = None
        self._exchange = exchange

    async def receive(self) -> Message:
        try:
            return await self._exchange.read()
        except BentoMLException as error:
            self.refusal = error
            raise

    async def send(self, message: Message) -> None:
        # Frameworks answer 400 or 500 to what receive raises: the service says 413 itself.
        if self.refusal is None or self._exchange.started:
            await self._exchange.relay(message)


class Mounts:
    """The mounted applications of a service, in the order in which they are asked.

    As below BentoML, one of Starlette (or FastAPI) answers only where it has a route, and any
    other answers everything below its path.

    Source: ``_bentoml_impl/server/mount.py`` of BentoML 1.4.

    Args:
        mounts: The mounts.
    """

    def __init__(self, mounts: Sequence[Mount]) -> None:
        self._mounts = mounts
        self._routes = [MountRoute(each.path, app=each.app, name=each.name) for each in mounts]
        self._states: list[Mapping[str, Any]] = [{} for _ in mounts]
        self._stack = AsyncExitStack()

    def find(self, scope: Scope, *, partial: bool = False) -> Mounted | None:
        """The application that answers a request or a websocket.

        Args:
            scope: The connection's scope.
            partial: Whether to take one, too, that has the path but not the method, to say so.
        """
        second: Mounted | None = None
        for route, state in zip(self._routes, self._states, strict=True):
            match, below = route.matches(scope)
            if match is Match.NONE:
                continue
            child: Scope = {**scope, **below}
            if state:
                child["state"] = {**scope.get("state", {}), **state}
            mounted = Mounted(route.app, child, route.path or "/")
            if not isinstance(route.app, Starlette):
                return mounted
            match, path = _match(route.app, child)
            mounted = Mounted(route.app, child, route.path + path or "/")
            if match is Match.FULL:
                return mounted
            if match is Match.PARTIAL and second is None:
                second = mounted
        return second if partial else None

    async def start(self, limit: int | None) -> None:
        """Start the applications, in the order of their declaration.

        Args:
            limit: Requests that may run at a time.

        Raises:
            Exception: Whatever keeps one from starting; those before it are stopped again.
        """
        async with AsyncExitStack() as stack:
            states = [await _start(mount, limit, stack) for mount in self._mounts]
            self._states = [{} if state is None else state for state in states]
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stop them, the last started first."""
        await self._stack.aclose()


def _match(app: Starlette, scope: Scope) -> tuple[Match, str]:
    """Whether an application has a route, and the route's path."""
    second = (Match.NONE, "")
    for route in app.routes:
        match, _ = route.matches(scope)
        found = (match, getattr(route, "path", ""))
        if match is Match.FULL:
            return found
        if match is Match.PARTIAL and second[0] is Match.NONE:
            second = found
    return second


async def _start(mount: Mount, limit: int | None, stack: AsyncExitStack) -> Any:
    """Start an application; returns the state that it has for its requests, or None."""
    app = mount.app
    if mount.lifespan is not None:
        return await stack.enter_async_context(mount.lifespan(limit))
    if isinstance(app, Starlette):
        return await stack.enter_async_context(app.router.lifespan_context(app))
    if type(app).__module__.partition(".")[0] == "quart":
        await app.startup()
        stack.push_async_callback(app.shutdown)
    return None
