"""A caller's connection."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from bentofn.adapters.local.front.guest import Guest
from bentofn.adapters.local.front.request import Request
from bentofn.runtime.http.cycle import Cycle
from bentofn.runtime.http.exchange import Header, Scope, json_reply
from bentofn.runtime.http.heads import asks_for_websocket, written
from bentofn.runtime.http.protocol import HttpProtocol

if TYPE_CHECKING:
    from bentofn.adapters.local.front.front import Front

logger = logging.getLogger("bentofn.platform")

_MOST_DROPPED = 64 << 20
"""Bytes of a body that are read on after its answer, for callers that read that only then."""

_STALLED = json_reply(408, {"error": "Nothing more of the request's body came; send it at once."})


class FrontConnection(HttpProtocol):
    """A connection, whose requests the front has answered one after the other.

    Args:
        front: The front.
    """

    def __init__(self, front: Front) -> None:
        super().__init__(front.keep_alive)
        self._front = front
        self._stalled: Cycle | None = None
        """A request of whose body nothing came since the timer was last set."""
        self._guest: Guest | None = None
        self._dropped = 0
        self._peer = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's: it is open."""
        super().connection_made(transport)
        self._front.connections.add(self)
        name = transport.get_extra_info("peername")
        self._peer = str(name[0]) if isinstance(name, tuple) and name else "127.0.0.1"

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's: it is closed; nobody waits for what is under way."""
        self._front.connections.discard(self)
        running = [each.task for each in self._unanswered if each.task is not None]
        super().connection_lost(exc)
        for task in running:
            task.cancel()
        if self._guest is not None:
            self._guest.leave(exc)
            self._guest = None

    def pause_writing(self) -> None:
        """asyncio's: the caller does not read what was written."""
        super().pause_writing()
        if self._guest is not None:
            self._guest.handler.pause_writing()

    def resume_writing(self) -> None:
        """asyncio's: it does again."""
        paused = self.writable is not None
        super().resume_writing()
        if self._guest is not None and paused:
            self._guest.handler.resume_writing()

    def on_body(self, body: bytes) -> None:
        """The parser's: a part of the body."""
        super().on_body(body)
        self._stalled = None
        if self._cycle is not None and self._cycle.done:
            self._dropped += len(body)
            if self._dropped > _MOST_DROPPED:
                self.transport.abort()

    def scope(self, method: bytes, target: bytes, version: str, headers: list[Header]) -> Scope:
        """See :class:`HttpProtocol`; the path is the request's target as it came."""
        return {
            "method": method.decode(),
            "path": target.decode("utf-8", "surrogateescape"),
            "http_version": version,
            "headers": headers,
        }

    def start(self, cycle: Cycle) -> None:
        """See :class:`HttpProtocol`."""
        cycle.task = self._loop.create_task(self._answer(cycle))
        self._front.running.add(cycle.task)

    async def _answer(self, cycle: Cycle) -> None:
        task = cycle.task
        assert task is not None
        request = Request(cycle, self._peer, self._front.bodies)
        try:
            if not await self._front.answer(request, self.transport):
                await self._pass_on(cycle)
        except asyncio.CancelledError:
            self.transport.abort()  # the caller has left, or the platform ends
        except Exception:
            logger.exception("%s was not answered", cycle.scope["method"])
            if cycle.started:
                self.transport.abort()
            elif not cycle.disconnected:
                cycle.keep_alive = False
                await request.error(500, "The platform failed; see its log.")
        finally:
            request.close()
            self._front.running.discard(task)
            cycle.task = None

    def _close_when_idle(self) -> None:
        """Close it, too, where a body is awaited of which nothing comes for that long."""
        cycle = self._unanswered[0] if self._unanswered else None
        awaits = cycle is not None and not (cycle.is_whole or cycle.done or self._is_paused)
        if awaits and cycle is self._stalled:
            self._refuse(_STALLED)
            return
        self._stalled = cycle if awaits else None
        super()._close_when_idle()

    async def _pass_on(self, cycle: Cycle) -> None:
        """Have the guest answer."""
        if self._guest is None:
            self._guest = Guest(self._front.guests, self.transport)
            if self.writable is not None:
                self._guest.handler.pause_writing()
        await self._guest.answer(cycle)

    def change(self, method: bytes, target: bytes, version: str, headers: list[Header]) -> bool:
        """See :class:`HttpProtocol`: aiohttp knows websockets, and keeps the connection."""
        if not asks_for_websocket(headers):
            return False
        self._front.connections.discard(self)
        if self._guest is not None:
            self._guest.leave(None)
            self._guest = None
        handler = self._front.guests()
        handler.connection_made(self.transport)
        handler.data_received(written(method, target, version, headers))
        self.transport.set_protocol(handler)
        return True
