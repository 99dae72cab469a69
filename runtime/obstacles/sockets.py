"""Sockets that lead out of the process."""

from __future__ import annotations

import os
import socket
import struct

from bentofn.runtime.obstacles.devices import CUDA_SOCKET, GPU
from bentofn.runtime.obstacles.found import Obstacle
from bentofn.runtime.obstacles.sites import Sites

_INTERNET = (socket.AF_INET, socket.AF_INET6)
_RESTORED = ("AF_NETLINK", "AF_PACKET")
_CREDENTIALS = "iII"  # struct ucred of linux/socket.h: pid, uid, gid


def find_in_socket(fd: int, sites: Sites) -> Obstacle | None:
    """What keeps a socket out of a snapshot; None if CRIU restores it as it is.

    Two copies cannot have one port or name, so a bound socket is an obstacle as well.

    Args:
        fd: The socket.
        sites: Where it was connected or bound.
    """
    with socket.socket(fileno=os.dup(fd)) as copy:
        if _is_cudas(copy):
            return GPU
        what, verb = _what(copy, sites)
    return Obstacle(what, sites.of_socket(fd), verb) if what else None


def _is_cudas(copy: socket.socket) -> bool:
    name = copy.getsockname() if copy.family == socket.AF_UNIX else ""
    return isinstance(name, bytes) and name.startswith(CUDA_SOCKET)


def far_end(connection: socket.socket, sites: Sites) -> str:
    """The other end of a connection, in words; that of a listening socket says so."""
    try:
        peer = connection.getpeername()
    except OSError:
        return "a listening socket"
    if not isinstance(peer, tuple):
        return f"local socket {_text(peer)}".rstrip()
    host = sites.host_of(peer[1])
    return f"{host or peer[0]}:{peer[1]}"


def _what(copy: socket.socket, sites: Sites) -> tuple[str, str]:
    if copy.family == socket.AF_UNIX:
        return _unix(copy)
    if copy.family not in _INTERNET:
        name = getattr(copy.family, "name", f"family {copy.family}")
        return ("", "") if name in _RESTORED else (f"holds a socket of the kind {name}", "open")
    if copy.type == socket.SOCK_RAW:
        return "", ""
    if _connected(copy):
        return f"holds a connection to {far_end(copy, sites)}", "open"
    port = copy.getsockname()[1]
    if not port:
        return "", ""
    if copy.type == socket.SOCK_STREAM and _listens(copy):
        return f"listens on port {port}", "open"
    return f"holds port {port}", "bind"


def _unix(copy: socket.socket) -> tuple[str, str]:
    if _listens(copy):
        return f"listens on the {_named(copy.getsockname())}", "open"
    if _connected(copy):
        size = struct.calcsize(_CREDENTIALS)
        raw = copy.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        if struct.unpack(_CREDENTIALS, raw)[0] == os.getpid():
            return "", ""  # both ends are this process's
        return f"holds a connection to the {_named(copy.getpeername())}", "open"
    name = copy.getsockname()
    return (f"holds the name of the {_named(name)}", "bind") if name else ("", "")


def _connected(copy: socket.socket) -> bool:
    try:
        copy.getpeername()
    except OSError:
        return False
    return True


def _listens(copy: socket.socket) -> bool:
    return bool(copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _named(address: object) -> str:
    return f"local socket {_text(address)}".rstrip() if address else "local socket of its parent"


def _text(address: object) -> str:
    if isinstance(address, bytes):  # an abstract name begins with a zero
        return address.replace(b"\0", b"@").decode(errors="replace")
    return str(address)
