"""The connections that HTTP clients keep open for a next request: closed before a copy is made.

Weights that come from a hub, and objects from a store, leave such connections behind. A server may
close an idle one at any time, so every client opens another where it finds it closed (RFC 9112,
section 9.5): the service need not know.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from bentofn.runtime.objects import known_objects

_HTTPCORES = ("httpcore", "httpcore2")


def close_idle_connections() -> None:
    """Close what urllib3 (requests, boto3), httpcore (httpx, most SDKs) and httpcore2 (httpx2,
    huggingface_hub) keep but do not use.
    """
    for pool in _all("urllib3.connectionpool", "HTTPConnectionPool"):
        _close_urllib3(pool)
    for module in _HTTPCORES:
        for pool in _all(module, "ConnectionPool"):
            for connection in _idle(pool):
                connection.close()


async def close_idle_connections_of_loop() -> None:
    """Close those that the asynchronous clients of the same libraries keep on this loop."""
    for module in _HTTPCORES:
        for pool in _all(module, "AsyncConnectionPool"):
            for connection in _idle(pool):
                with suppress(RuntimeError):  # of a loop that has ended; its socket goes with it
                    await connection.aclose()


def _all(module: str, name: str) -> list[Any]:
    """Every object of a class, whose module may not be loaded."""
    if module not in sys.modules:
        return []
    kind = getattr(sys.modules[module], name)
    # isinstance would ask lazy objects for their class, and so make them.
    return [each for each in known_objects() if issubclass(type(each), kind)]


def _close_urllib3(pool: Any) -> None:
    if pool.pool is None:  # closed
        return
    for connection in list(pool.pool.queue):
        if connection is not None:
            connection.close()


def _idle(pool: Any) -> list[Any]:
    return [connection for connection in pool.connections if connection.is_idle()]
