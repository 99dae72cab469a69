"""Serves an ASGI application with uvicorn, on a socket that is open already."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import uvicorn
from uvicorn.lifespan.on import LifespanOn

from bentofn.runtime import lifeline
from bentofn.runtime.errors import UserError
from bentofn.runtime.event_loop import is_importable, new_event_loop

GRACE = 10
"""Seconds that running requests get to finish after SIGTERM."""

KEEP_ALIVE = 75
"""Seconds an idle connection stays open: longer than clients keep theirs (aiohttp 15, nginx 60),
so that a client never sends on a connection that is just being closed."""


BACKLOG = 2048
"""Connections that wait to be accepted; uvicorn's own number."""


class _Lifespan(LifespanOn):
    """uvicorn's lifespan, which remembers why the application did not start."""

    failure = ""

    async def send(self, message: Any) -> None:
        if message["type"] == "lifespan.startup.failed":
            self.failure = message.get("message", "")
        await super().send(message)


class Server(uvicorn.Server):
    """uvicorn's server, which says when it serves and leaves signals as it found them."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets=sockets)
        except SystemExit:
            self.should_exit = True
        if self.started:
            self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own raises the signal again afterwards: a graceful stop would look like a kill.
        before = {s: signal.signal(s, self.handle_exit) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)


def configure(
    app: Any, tls: Mapping[str, Any] | None = None, *, websockets: bool = False
) -> uvicorn.Config:
    """uvicorn's settings for an application, with everything that serving imports imported.

    Args:
        app: The application.
        tls: BentoML's ``ssl`` section of a service that answers with HTTPS itself.
        websockets: Whether it may take websockets.

    Raises:
        UserError: The certificate or the key cannot be used.
    """
    # Of the libraries that uvicorn knows, wsproto takes the least time to import.
    speaks_websocket = websockets and is_importable("wsproto")
    config = uvicorn.Config(
        app,
        http=_http(),
        ws="wsproto" if speaks_websocket else "none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        **_tls_options(tls or {}),
    )
    try:
        config.load()
    except (OSError, ValueError) as error:  # ssl's errors are of both
        if not config.is_ssl:
            raise
        raise UserError(
            f"HTTPS cannot be served with the certificate {config.ssl_certfile} and the key "
            f"{config.ssl_keyfile}: {error}; correct ssl of @bentoml.service."
        ) from None
    config.lifespan_class = _Lifespan
    is_importable("uvloop")
    return config


def _http() -> Any:
    """Ours, where there is httptools."""
    if not is_importable("httptools"):
        return "h11"
    from bentofn.runtime.http.connection import Connection

    return Connection


def _tls_options(tls: Mapping[str, Any]) -> dict[str, Any]:
    if not tls.get("enabled", False):
        return {}
    names = ("certfile", "keyfile", "keyfile_password", "ca_certs", "version", "cert_reqs")
    given = {f"ssl_{name}": tls[name] for name in (*names, "ciphers") if tls.get(name) is not None}
    if "ssl_certfile" not in given:
        raise UserError("ssl of @bentoml.service is enabled and names no certfile.")
    return given


def run(
    config: uvicorn.Config,
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
    server = Server(config, on_ready)

    def hear(control: socket.socket) -> None:
        server.should_exit = heed(control) or server.should_exit

    async def serve() -> None:
        if control is not None:
            asyncio.get_running_loop().add_reader(control, hear, control)
        await server.serve(sockets=[listener, *also])

    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(serve())
        loop.run_until_complete(_finish(loop))
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    if not server.started:
        reason = getattr(server.lifespan, "failure", "") or "its log says why"
        raise UserError(f"The service's start-up failed: {reason}")


async def _finish(loop: asyncio.AbstractEventLoop) -> None:
    left = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    await loop.shutdown_asyncgens()
