"""A service's server on a thread, for its callers to be tested, and the sockets that they open."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bentofn.runtime import asgi
from bentofn.runtime.http.app import ServiceApp
from bentofn.runtime.http.serving import Server as HTTPServer

_PATIENCE = 20.0
"""Seconds that anything may take on a busy machine."""


class Server:
    """A server of a service.

    Args:
        service: The service.
        place: The path of its AF_UNIX socket, else it listens on a free port of this machine.
    """

    def __init__(self, service: Any, place: Path | None = None) -> None:
        self.instance: Any = service()
        if place is None:
            listener = socket.create_server(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        else:
            place.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(place))
            listener.listen(16)
        ready = threading.Event()
        self._server = HTTPServer(asgi.configure(ServiceApp(service, self.instance)), ready.set)
        serve = partial(self._server.serve, [listener])
        self._thread = threading.Thread(target=lambda: asyncio.run(serve()))
        self._thread.start()
        assert ready.wait(_PATIENCE)

    def stop(self) -> None:
        """End it, and its connections."""
        self._server.stop(at_once=True)
        self._thread.join()


def sockets() -> int:
    """How many sockets this process has open."""
    return sum(_is_socket(each) for each in os.listdir("/proc/self/fd"))  # noqa: PTH208


def soon(true: Callable[[], bool]) -> bool:
    """Whether something becomes true."""
    until = time.monotonic() + _PATIENCE
    while not true() and time.monotonic() < until:
        time.sleep(0.005)
    return true()


def _is_socket(number: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{number}").startswith("socket:")  # noqa: PTH115
    except OSError:  # it was the listing's own
        return False
