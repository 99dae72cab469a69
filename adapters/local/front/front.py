"""Takes connections, and has their requests answered."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from bentofn.adapters.local.front.bodies import Bodies, quarter_of_memory
from bentofn.adapters.local.front.connection import FrontConnection
from bentofn.adapters.local.front.guest import Handler, guests
from bentofn.adapters.local.front.request import Request

KEEP_ALIVE = 75.0
"""Seconds; nginx's number."""

Answer = Callable[[Request, asyncio.Transport], Awaitable[bool]]
"""Answers a request, or says that it is the guest's: False, with nothing sent."""


class Front:
    """An HTTP server.

    Args:
        answer: Answers requests.
        guest: Answers those that it does not, and takes websockets.
        keep_alive: Seconds that a connection may be idle; for as long a head may be coming, and a
            body be silent.
        room: Bytes that large bodies may hold in memory together; None takes a quarter of it.
    """

    def __init__(
        self,
        answer: Answer,
        guest: Handler,
        keep_alive: float = KEEP_ALIVE,
        room: int | None = None,
    ) -> None:
        self.answer = answer
        self.keep_alive = keep_alive
        self.bodies = Bodies(quarter_of_memory() if room is None else room)
        self.guests = guests(guest)
        self.connections: set[FrontConnection] = set()
        self.running: set[asyncio.Task[None]] = set()
        """The tasks that answer."""
        self._server: asyncio.Server | None = None

    async def listen(self, listener: socket.socket, backlog: int) -> None:
        """Take connections from now on.

        Args:
            listener: A bound socket.
            backlog: How many may wait to be taken.
        """
        loop = asyncio.get_running_loop()

        def connect() -> FrontConnection:
            return FrontConnection(self)

        if listener.family == socket.AF_UNIX:
            self._server = await loop.create_unix_server(connect, sock=listener, backlog=backlog)
        else:
            self._server = await loop.create_server(connect, sock=listener, backlog=backlog)

    def refuse_connections(self) -> None:
        """Take no connection more."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def close(self, patience: float) -> None:
        """End all connections.

        Args:
            patience: Seconds for what is being answered.
        """
        self.refuse_connections()
        for connection in list(self.connections):
            connection.shutdown()
        websockets = asyncio.ensure_future(self.guests.shutdown(patience))
        if self.running:
            await asyncio.wait(self.running, timeout=patience)
        for task in list(self.running):
            task.cancel()
        if self.running:
            await asyncio.wait(self.running)
        for connection in list(self.connections):
            connection.transport.abort()
        await websockets
