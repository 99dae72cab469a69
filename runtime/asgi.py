"""Serves an ASGI application on sockets that are open already."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bentofn.runtime import lifeline, own_loop
from bentofn.runtime.errors import BentoMLException, UserError
from bentofn.runtime.event_loop import is_importable, new_event_loop
from bentofn.runtime.http.connection import Connection
from bentofn.runtime.http.first_request import tell_of_first
from bentofn.runtime.http.serving import Server, ServerConfig
from bentofn.runtime.stages import stage


def configure(
    app: Any, tls: Mapping[str, Any] | None = None, *, websockets: bool = False
) -> ServerConfig:
    """How an application is served, with everything that serving imports imported.

    Args:
        app: The application.
        tls: BentoML's ``ssl`` section of a service that answers with HTTPS itself.
        websockets: Whether it may take websockets.

    Raises:
        UserError: The certificate or the key cannot be used.
    """
    config = ServerConfig(app, Connection)
    if tls:
        from bentofn.runtime.http.tls import tls_context

        config.tls = tls_context(tls)
    if websockets and is_importable("wsproto"):
        from bentofn.runtime.http.websocket import websocket_protocol

        config.websocket = websocket_protocol(app)
    is_importable("uvloop")
    return config


def run(
    config: ServerConfig,
    listener: socket.socket,
    on_ready: Callable[[], None],
    control: socket.socket | None = None,
    heed: Callable[[socket.socket], bool] = lifeline.heed,
    also: Sequence[socket.socket] = (),
) -> None:
    """Serve until SIGTERM or SIGINT; returns when what ran has finished.

    Args:
        config: From :func:`configure`.
        listener: An open listening socket.
        on_ready: Called once requests are answered.
        control: The platform's control socket; its end of file ends the process at once.
        heed: Called with it whenever it can be read; says whether to stop serving.
        also: Further listening sockets.

    Raises:
        UserError: The application's start-up failed, an ``on_startup`` hook for instance.
    """
    server = Server(tell_of_first(config), on_ready)

    def hear(control: socket.socket) -> None:
        if heed(control):
            server.stop()

    async def serve() -> None:
        if control is not None:
            asyncio.get_running_loop().add_reader(control, hear, control)
        await server.serve([listener, *also])

    with stage("loop"):
        loop = new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(serve())
        loop.run_until_complete(own_loop.end(loop))
    except BentoMLException as error:
        raise UserError(str(error)) from None
    finally:
        asyncio.set_event_loop(None)
        loop.close()
