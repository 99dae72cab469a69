"""One request over real HTTP before the snapshot point, so that no copy is the first to serve.

What a server does for the first time (its event loop, its parser, the lifespan, the headers) loads
libraries and fills caches: milliseconds that every copy would spend again.
"""

from __future__ import annotations

import asyncio
import socket

from bentofn.runtime.event_loop import new_event_loop
from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.http.serving import ServerConfig, ServerState

_REQUEST = b"GET /livez HTTP/1.1\r\nHost: rehearsal\r\nConnection: close\r\n\r\n"


def rehearse(app: ServiceApp, config: ServerConfig) -> None:
    """Answer one request; no thread, no loop and no count of it is left.

    The service's own methods and hooks are not called.
    """
    loop = new_event_loop()
    try:
        loop.run_until_complete(_serve_one(app, config))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


async def _serve_one(app: ServiceApp, config: ServerConfig) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        await app.start(hooks=False)
        try:
            await loop.connect_accepted_socket(
                lambda: config.protocol(config, ServerState(), {}), theirs
            )
            await loop.sock_sendall(ours, _REQUEST)
            while await loop.sock_recv(ours, 1 << 16):
                pass
        finally:
            await app.stop(hooks=False)
