"""The first request of an instance as stages, which end what is told of a start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from bentofn.runtime import stages
from bentofn.runtime.http.exchange import ASGIApp, Receive, Scope, Send
from bentofn.runtime.http.serving import ServerConfig


def tell_of_first(config: ServerConfig) -> ServerConfig:
    """Tell of the first request that is answered, and of nothing after it, if anybody asks."""
    return replace(config, app=_told(config.app)) if stages.asked() else config


def timed(call: Callable[..., Awaitable[Any]], name: str) -> Callable[..., Awaitable[Any]]:
    """A function whose calls are stages; the function itself where nobody asks."""
    if not stages.asked():
        return call

    @wraps(call)
    async def told(*args: Any, **kwargs: Any) -> Any:
        with stages.stage(name):
            return await call(*args, **kwargs)

    return told


def _told(app: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not stages.asked():
            await app(scope, receive, send)
            return
        with stages.stage("answer", path=scope["path"]):
            await app(scope, receive, send)
        stages.end()

    return answer
