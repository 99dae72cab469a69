"""Who is at the other end of an AF_UNIX socket."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from dataclasses import replace
from typing import Any

from bentofn.runtime.http.connection import Connection
from bentofn.runtime.http.serving import ServerConfig

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


class _Private(Connection):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not is_own_user(transport.get_extra_info("socket")):
            self.transport.abort()


def only_own_user(config: ServerConfig) -> ServerConfig:
    """The same for a server that hangs up on other users who connect to its AF_UNIX sockets."""

    return replace(config, protocol=_Private)
