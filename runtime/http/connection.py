"""HTTP/1.1 on one connection of a service, with little to do for each request.

Requests that an :class:`Exchange` answers as a whole need neither ASGI's messages nor a timer of
their own; all others go ASGI's way.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from bentofn.runtime.http.cycle import Cycle
from bentofn.runtime.http.exchange import Header, Reply, Scope
from bentofn.runtime.http.heads import asks_for_websocket, written
from bentofn.runtime.http.protocol import HttpProtocol
from bentofn.runtime.http.scope import Scopes
from bentofn.runtime.http.serving import ServerConfig, ServerState

logger = logging.getLogger("bentofn.server")

_NO_UPGRADE = """A request to go on in another protocol is answered in HTTP/1.1. \
Websockets are of mounted applications, and need wsproto."""


class Connection(HttpProtocol):
    """One connection.

    Args:
        config: Of the server.
        server_state: Its connections and tasks.
        app_state: What the application's start-up left for its requests.
    """

    def __init__(
        self,
        config: ServerConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
    ) -> None:
        super().__init__(config.keep_alive)
        self._config = config
        self._app: Any = config.app
        self._server = server_state
        self._state = app_state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: it is open."""
        self._server.connections.add(self)
        self._scopes = Scopes(transport, self._state)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: it is closed."""
        self._server.connections.discard(self)
        super().connection_lost(exc)

    def scope(self, method: bytes, target: bytes, version: str, headers: list[Header]) -> Scope:
        """See :class:`HttpProtocol`."""
        return self._scopes.scope(method, target, version, headers)

    def start(self, cycle: Cycle) -> None:
        """See :class:`HttpProtocol`: the application answers."""
        running = self._server.tasks
        cycle.task = self._loop.create_task(cycle.run(self._app, running))
        running.add(cycle.task)

    def refused(self, reply: Reply) -> None:
        """See :class:`HttpProtocol`."""
        logger.warning("A request is refused: %s", reply.body.decode())

    def change(self, method: bytes, target: bytes, version: str, headers: list[Header]) -> bool:
        """See :class:`HttpProtocol`: websockets are known, if any."""
        if self._config.websocket is None or not asks_for_websocket(headers):
            logger.warning(_NO_UPGRADE)
            return False
        self._server.connections.discard(self)
        made = self._config.websocket(self._server, self._state)
        made.connection_made(self.transport)
        made.data_received(written(method, target, version, headers))
        self.transport.set_protocol(made)
        return True
