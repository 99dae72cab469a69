"""Several requests to a server, of which later ones depend on what earlier ones were answered."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from differential import Call, Seen, send

PATIENCE = 20.0
"""Seconds that something may take on a busy machine."""


@dataclass(frozen=True)
class Flow:
    """Requests that are made one after the other, or at the same time.

    Args:
        name: What its case's table calls it.
        run: Makes them, and returns what is compared.
    """

    name: str
    run: Callable[[Server], Any]


class Server:
    """A server of this machine, as a flow asks it.

    Args:
        port: Its port.
        pool: Makes requests at the same time.
    """

    def __init__(self, port: int, pool: ThreadPoolExecutor) -> None:
        self._port = port
        self._pool = pool

    def __call__(self, call: Call) -> Seen:
        """Make a request."""
        return send(self._port, call)

    def begin(self, call: Call) -> Future[Seen]:
        """Begin a request."""
        return self._pool.submit(send, self._port, call)

    def until(self, call: Call, holds: Callable[[Seen], bool], seconds: float = PATIENCE) -> Seen:
        """Ask again and again until something holds, or for so many seconds; the last answer."""
        end = time.monotonic() + seconds
        while not holds(seen := self(call)) and time.monotonic() < end:
            time.sleep(0.01)
        return seen

    def abandon(self, call: Call, once: Callable[[], object]) -> None:
        """Send a request, and leave without its answer when something has happened."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
        with closing(connection):
            connection.request(call.method, call.path, call.body, dict(call.headers))
            once()


def seen_by(port: int, asked: Call | Flow) -> Seen:
    """What comes of a call or a flow; of a flow, its result is the body."""
    if isinstance(asked, Call):
        return send(port, asked)
    with ThreadPoolExecutor(16) as pool:
        return Seen(200, {}, asked.run(Server(port, pool)))
