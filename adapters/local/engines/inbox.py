"""What a process says to the platform, over its control socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import AsyncIterator

from bentofn.adapters.local.engines.sockets import readable
from bentofn.runtime.protocol import Decoder, Message, ProtocolError

_MOST_FDS = 64  # that may come with what is read at once: one with each clone's message

DRAIN = 1.0
"""Seconds for what a process said before it ended; its children may hold the pipes open longer."""


class Inbox:
    """What a process says, and the descriptors that it sends along.

    Args:
        control: The platform's end of its control socket.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._fds: deque[int] = deque()

    async def messages(self) -> AsyncIterator[Message]:
        """Its messages, until it ends or says something that is no message."""
        decoder = Decoder()
        try:
            with contextlib.suppress(ConnectionError, ProtocolError):
                while data := await self._receive():
                    for message in decoder.feed(data):
                        yield message
        finally:
            while (fd := self.take_fd()) is not None:
                os.close(fd)

    def take_fd(self) -> int | None:
        """The descriptor that came with the message that was just given, if one did."""
        return self._fds.popleft() if self._fds else None

    async def _receive(self) -> bytes:
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._control, 1 << 16, _MOST_FDS)
            except BlockingIOError:
                await readable(self._control.fileno())
            else:
                self._fds.extend(fds)
                return data


async def read_to_end(reading: asyncio.Task[None]) -> None:
    """Wait a moment for what reads the inbox of a process that has ended; it has ended then too.

    Its socket may be closed only afterwards: who still waits at the number of a closed one would
    take another away that has the number since.
    """
    await asyncio.wait([reading], timeout=DRAIN)
    reading.cancel()
    await asyncio.wait([reading])
