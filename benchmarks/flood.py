"""Many requests within one second, each on a connection of its own, and what became of each."""

from __future__ import annotations

import asyncio
import resource
import time
from collections import Counter
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop

_TICK = 0.005  # seconds
_PATIENCE = 60.0  # seconds
_SPARE = 100  # descriptors


@dataclass(frozen=True)
class Outcome:
    """What became of a flood.

    Args:
        statuses: Answers by HTTP status; 0 where a connection was refused or broke off.
        unanswered: Requests that hung.
        seconds: From the first request to the last answer.
        sent: Seconds in which all requests were sent.
    """

    statuses: Counter[int]
    unanswered: int
    seconds: float
    sent: float


class _Call(asyncio.Protocol):
    """One request."""

    def __init__(self, request: bytes, done: asyncio.Future[int]) -> None:
        self._request = request
        self._done = done
        self._begun = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._begun = self._begun or data

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            words = self._begun.split(b" ", 2)
            self._done.set_result(int(words[1]) if len(words) == 3 else 0)


def flood(url: str, path: str, body: bytes, count: int) -> Outcome:
    """Send a JSON body so many times within a second.

    Args:
        url: The function's.
        path: Its endpoint.
        body: The body.
        count: How many requests.
    """
    at = urlsplit(f"{url}/{path}")
    head = f"POST {at.path} HTTP/1.1\r\nHost: {at.netloc}\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count + _SPARE)), hard))
    return uvloop.run(_send(str(at.hostname), at.port or 80, head.encode() + body, count))


async def _send(host: str, port: int, request: bytes, count: int) -> Outcome:
    loop = asyncio.get_running_loop()
    answers: list[asyncio.Future[int]] = []
    calls: set[asyncio.Task[None]] = set()

    async def call(done: asyncio.Future[int]) -> None:
        try:
            await loop.create_connection(lambda: _Call(request, done), host, port)
        except OSError:
            done.set_result(0)

    began = time.perf_counter()
    while len(answers) < count:
        due = min(count, int(count * min(1.0, time.perf_counter() - began)) + 1)
        for _ in range(due - len(answers)):
            done: asyncio.Future[int] = loop.create_future()
            answers.append(done)
            calls.add(asyncio.create_task(call(done)))
        await asyncio.sleep(_TICK)
    sent = time.perf_counter() - began
    finished, hung = await asyncio.wait(answers, timeout=_PATIENCE)
    seconds = time.perf_counter() - began
    return Outcome(Counter(each.result() for each in finished), len(hung), seconds, sent)
