"""A function's answer on its way to a caller while the function still writes it.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

BURST = 6 << 20
"""Bytes that pass as fast as they come."""
BANDWIDTH = 2 << 20
"""Bytes in a second beyond them."""

_WINDOW = 1 << 20
"""[own] Bytes that are kept for a caller that reads slowly, before the function has to wait."""


class Pace:
    """The bandwidth of one answer: a bucket that is full at first."""

    def __init__(self) -> None:
        self._left = float(BURST)
        self._since = 0.0

    def delay(self, size: int, now: float) -> float:
        """Seconds that a piece must wait before it is passed on.

        Args:
            size: Its bytes.
            now: Seconds on any one monotonic clock.
        """
        left = min(float(BURST), self._left + (now - self._since) * BANDWIDTH)
        self._left, self._since = left - size, now
        return max(0.0, -self._left / BANDWIDTH)


class ResponseStream:
    """A runtime writes on one side, and is held up while the caller on the other does not read.

    Whoever asked for the invocation ends it, once that is over.
    """

    def __init__(self) -> None:
        self.content_type = ""
        self.size = 0
        """Bytes that were written so far."""
        self._pieces: deque[bytes] = deque()
        self._kept = 0
        self._hold: Callable[[bool], None] = _hold_nobody
        self._holds = False
        self._begun = self._ended = self._abandoned = False
        self._news = asyncio.Event()

    def begin(self, content_type: str, hold: Callable[[bool], None]) -> None:
        """The function begins to write.

        Args:
            content_type: What.
            hold: Has it wait, or go on.
        """
        self.content_type = content_type
        self._hold = hold
        self._begun = True
        self._news.set()

    def feed(self, piece: bytes) -> None:
        """The function has written something."""
        self.size += len(piece)
        if not self._abandoned:
            self._pieces.append(piece)
            self._kept += len(piece)
            self._let(self._kept <= _WINDOW)
            self._news.set()

    def end(self) -> None:
        """The invocation is over."""
        self._ended = True
        self._let(True)
        self._hold = _hold_nobody
        self._news.set()

    def abandon(self) -> None:
        """Nobody reads any more; the function writes on to its end, as on Lambda."""
        self._abandoned = True
        self._pieces.clear()
        self._let(True)

    async def begins(self) -> bool:
        """Wait until the function writes, or, with False, has ended without that."""
        while not (self._begun or self._ended):
            await self._something()
        return self._begun

    async def pieces(self) -> AsyncIterator[bytes]:
        """What it writes, as it comes and as fast as Lambda lets it pass."""
        loop, pace = asyncio.get_running_loop(), Pace()
        while True:
            while self._pieces:
                piece = self._pieces.popleft()
                self._kept -= len(piece)
                self._let(self._kept <= _WINDOW)
                await asyncio.sleep(pace.delay(len(piece), loop.time()))
                yield piece
            if self._ended:
                return
            await self._something()

    async def _something(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _let(self, go: bool) -> None:
        if self._holds == go:
            self._holds = not go
            self._hold(not go)


def _hold_nobody(holds: bool) -> None:
    """There is nobody to be held up."""
