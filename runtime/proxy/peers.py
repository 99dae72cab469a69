"""Who is at the other end of an AF_UNIX socket."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from typing import Any

import uvicorn

_CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


def is_own_user(connection: Any) -> bool:
    """Whether the other end is a process of this user; where the system does not say, it is.

    Args:
        connection: A socket, or what an event loop gives in its place.
    """
    if connection.family != socket.AF_UNIX or not hasattr(socket, "SO_PEERCRED"):
        return True
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(data)[1] == os.geteuid())


class _Private(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if not is_own_user(transport.get_extra_info("socket")):
            transport.abort()


def only_own_user(config: uvicorn.Config) -> None:
    """Have a server hang up on other users that connect to its AF_UNIX sockets."""
    config.http_protocol_class = type("Private", (_Private, config.http_protocol_class), {})
