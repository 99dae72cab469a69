"""Listens, lets connections in, and stops once what was asked for is answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.lifespan import Lifespan
from bentofn.runtime.stages import stage

logger = logging.getLogger("bentofn.server")

GRACE = 10.0
"""Seconds that running requests get to finish after SIGTERM."""

KEEP_ALIVE = 75.0
"""Seconds an idle connection stays open: longer than clients keep theirs (aiohttp 15, nginx 60),
so that a client never sends on a connection that is just being closed."""

BACKLOG = 2048
"""Connections that wait to be accepted; uvicorn's number."""

_LOOK = 0.01
"""Seconds between looks at what is still open, once the server stops."""


class Closable(Protocol):
    """A connection."""

    def shutdown(self) -> None:
        """Close, once what was asked for is answered."""


@dataclass
class ServerState:
    """What is open now.

    Args:
        connections: The connections.
        tasks: The requests that are answered.
    """

    connections: set[Closable] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


@dataclass
class ServerConfig:
    """How an application is served.

    Args:
        app: The ASGI application.
        protocol: Makes what speaks HTTP on a connection, of this, the state, and what the
            application's start-up left for its requests.
        tls: For HTTPS.
        websocket: Makes what speaks websocket on a connection, of the state and what the start-up
            left; None where nobody does.
        keep_alive: Seconds that an idle connection stays open.
    """

    app: Any
    protocol: Callable[[ServerConfig, ServerState, dict[str, Any]], asyncio.Protocol]
    tls: ssl.SSLContext | None = None
    websocket: Callable[[ServerState, dict[str, Any]], Any] | None = None
    keep_alive: float = KEEP_ALIVE


class Server:
    """Serves an application on listening sockets.

    Args:
        config: How.
        on_ready: Called once requests are answered.
    """

    def __init__(self, config: ServerConfig, on_ready: Callable[[], None]) -> None:
        self._config = config
        self._on_ready = on_ready
        self.state = ServerState()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._is_hurried = False

    def stop(self, *, at_once: bool = False) -> None:
        """Stop, from this thread or another; nothing happens before it serves.

        Args:
            at_once: Whether not to wait for what is asked for, nor to shut the application down.
        """
        self._is_hurried |= at_once
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended
                self._loop.call_soon_threadsafe(self._stopping.set)

    async def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Serve until :meth:`stop`, SIGTERM or SIGINT.

        Args:
            sockets: They listen already; they are closed at the end.

        Raises:
            BentoMLException: The application cannot start.
        """
        self._loop = asyncio.get_running_loop()
        with self._heeding_signals():
            lifespan = Lifespan(self._config.app, required=True)
            with stage("on_startup"):
                await lifespan.startup()
            with stage("bind"):
                servers = [await self._listen(each, lifespan.state) for each in sockets]
            self._on_ready()
            await self._stopping.wait()
            for server in servers:
                server.close()
            for each in sockets:
                each.close()
            await self._let_finish()
            if not self._is_hurried:
                await self._shut_down(lifespan)

    async def _listen(
        self, listener: socket.socket, state: dict[str, Any]
    ) -> asyncio.AbstractServer:
        assert self._loop is not None
        config = self._config
        return await self._loop.create_server(
            lambda: config.protocol(config, self.state, state),
            sock=listener,
            ssl=config.tls,
            backlog=BACKLOG,
        )

    async def _let_finish(self) -> None:
        assert self._loop is not None
        state, until = self.state, self._loop.time() + GRACE
        for connection in list(state.connections):
            connection.shutdown()
        await asyncio.sleep(0)
        while (state.connections or state.tasks) and not self._is_hurried:
            if self._loop.time() > until:
                logger.error("%d requests are ended: they take too long.", len(state.tasks))
                for task in state.tasks:
                    task.cancel()
                return
            await asyncio.sleep(_LOOK)

    async def _shut_down(self, lifespan: Lifespan) -> None:
        try:
            await lifespan.shutdown()
        except BentoMLException as error:
            logger.error("%s", error)

    @contextlib.contextmanager
    def _heeding_signals(self) -> Iterator[None]:
        """Stop when asked to, at once when asked twice; signals are left as they were found."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        assert self._loop is not None
        before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
        for signum in before:
            self._loop.add_signal_handler(signum, self._asked, signum)
        try:
            yield
        finally:
            for signum, handler in before.items():
                self._loop.remove_signal_handler(signum)
                signal.signal(signum, handler)

    def _asked(self, signum: int) -> None:
        self.stop(at_once=self._stopping.is_set() and signum == signal.SIGINT)
