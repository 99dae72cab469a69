"""What a service answers beside its methods: health, metrics, its description."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentofn.runtime.http.errors import NOT_READY
from bentofn.runtime.http.exchange import Reply, json_reply, text_reply
from bentofn.runtime.http.metrics import CONTENT_TYPE
from bentofn.runtime.http.openapi import openapi_document, schema_document
from bentofn.runtime.layout import BentoRoot
from bentofn.runtime.manifest import BentoManifest
from bentofn.runtime.proxy import all_ready

if TYPE_CHECKING:
    from bentofn.runtime.command.proxy import CommandProxy
    from bentofn.runtime.http.app import ServiceApp

_HEALTHY = text_reply(200, "\n")

Page = Callable[[], Awaitable[Reply]]


class Pages:
    """The pages of a service, by path.

    Args:
        app: The service's application.
        command: The server that answers in the service's place, if there is one.
    """

    def __init__(self, app: ServiceApp, command: CommandProxy | None) -> None:
        self._app = app
        self._command = command
        self.first = self._before_mounts()
        """Those that come before the mounted applications."""
        self.last = self._after_mounts()
        """Those that come after them."""

    def _before_mounts(self) -> dict[str, Page]:
        service = self._app.service
        prefix = service.path_prefix
        schema = schema_document(service, self._app.specs)
        pages: dict[str, Page] = {"/schema.json": partial(_fixed, json_reply(200, schema))}
        pages[f"{prefix}/livez"] = pages[f"{prefix}/healthz"] = self._liveness
        pages[f"{prefix}/readyz"] = self._readiness
        if service.config.get("metrics", {}).get("enabled", True):
            pages[f"{prefix}/metrics"] = self._render_metrics
        return pages

    def _after_mounts(self) -> dict[str, Page]:
        service = self._app.service
        openapi = openapi_document(service, self._app.specs, self._app.version)
        shown = Path(__file__).with_name("docs.html").read_bytes()
        return {
            f"{service.path_prefix}/docs.json": partial(_fixed, json_reply(200, openapi)),
            f"{service.path_prefix}/": partial(
                _fixed, Reply(200, shown, "text/html; charset=utf-8")
            ),
        }

    async def _liveness(self) -> Reply:
        return await self._health("__is_alive__", "dead")

    async def _readiness(self) -> Reply:
        if not self._app.ready or (self._command and not await self._command.is_ready()):
            return NOT_READY
        own = await self._health("__is_ready__", "not ready")
        if own is _HEALTHY and not await all_ready(self._app.service):
            return text_reply(503, "A service that this one depends on is not ready.")
        return own

    async def _health(self, name: str, otherwise: str) -> Reply:
        check = getattr(self._app.instance, name, None)
        if check is None or await _off_loop(check):
            return _HEALTHY
        return text_reply(503, f"Service is {otherwise} because .{name}() returns False.")

    async def _render_metrics(self) -> Reply:
        metrics = self._app.admission.metrics
        if metrics is None:
            return NOT_READY
        text = metrics.render()
        hook = getattr(self._app.instance, "__metrics__", None)
        if hook is not None:
            text = await _off_loop(hook, text)
        return Reply(200, text.encode(), CONTENT_TYPE)


def running_version() -> str:
    """The running bento's version; BentoML's words where there is no bento."""
    root = BentoRoot.current()
    return "not available" if root is None else BentoManifest.read(root.manifest).version


async def value_of(result: Any) -> Any:
    """What a user's function returned, awaited if it is to be."""
    return await result if inspect.isawaitable(result) else result


async def _fixed(reply: Reply) -> Reply:
    return reply


async def _off_loop(call: Callable[..., Any], *args: Any) -> Any:
    """Call a user's function, a sync one on a thread that no endpoint waits for."""
    if inspect.iscoroutinefunction(call):
        return await call(*args)
    return await value_of(await asyncio.to_thread(call, *args))
