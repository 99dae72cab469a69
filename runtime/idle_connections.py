"""The connections that HTTP clients keep open for a next request: closed before a copy is made.

Weights that come from a hub, and objects from a store, leave such connections behind. A server may
close an idle one at any time, so every client opens another where it finds it closed (RFC 9112,
section 9.5): the service need not know.
"""

from __future__ import annotations

import os
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from bentofn.runtime.objects import known_objects

_HTTPCORES = ("httpcore", "httpcore2")


def close_idle_connections() -> None:
    """Close what urllib3 (requests, boto3), httpcore (httpx, most SDKs) and httpcore2 (httpx2,
    huggingface_hub) keep but do not use.
    """
    urllib3 = _class("urllib3.connectionpool", "HTTPConnectionPool")
    for pool in _all(urllib3):
        _close_urllib3(pool)
    for pool in _all(*(_class(module, "ConnectionPool") for module in _HTTPCORES)):
        for connection in _idle(pool):
            connection.close()


async def close_idle_connections_of_loop() -> None:
    """Close those that the asynchronous clients of the same libraries keep on this loop."""
    for pool in _all(*(_class(module, "AsyncConnectionPool") for module in _HTTPCORES)):
        for connection in _idle(pool):
            with suppress(RuntimeError):  # of a loop that has ended; its socket goes with it
                await connection.aclose()


def _class(module: str, name: str) -> Any:
    """A class; None where its module is not loaded."""
    return getattr(sys.modules.get(module), name, None)


def _all(*kinds: Any) -> list[Any]:
    """Every object of some classes, each None where there is none."""
    loaded = tuple(kind for kind in kinds if kind is not None)
    if not loaded or not _has_connections():
        return []
    # isinstance would ask lazy objects for their class, and so make them.
    return [each for each in known_objects() if issubclass(type(each), loaded)]


def _has_connections() -> bool:
    """Whether a socket leads out of this process: large services have a million objects to look
    through, in which there is nothing to be found then."""
    try:
        return any(_leads_out(int(each.name)) for each in Path("/proc/self/fd").iterdir())
    except OSError:  # of Linux alone
        return True


def _leads_out(fd: int) -> bool:
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            with socket.socket(fileno=os.dup(fd)) as copy:
                # The ends of a pair, which the platform talks through, have no name.
                return copy.family != socket.AF_UNIX or bool(copy.getpeername())
    return False


def _close_urllib3(pool: Any) -> None:
    if pool.pool is None:  # closed
        return
    for connection in list(pool.pool.queue):
        if connection is not None:
            connection.close()


def _idle(pool: Any) -> list[Any]:
    return [connection for connection in pool.connections if connection.is_idle()]
