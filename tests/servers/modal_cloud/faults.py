"""What a call meets: it is noted, and may be made to fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from grpclib import GRPCError, Status

Kind = Literal["denied", "throttled", "broken", "half", "slow"]
"""Refused; too many; the server is down for this call; done but not answered; answered late."""

_QUIET = {
    "AppHeartbeat",
    "ContainerHeartbeat",
    "FunctionGetInputs",
    "FunctionGetDynamicConcurrency",
}

_ERRORS = {
    "denied": (Status.PERMISSION_DENIED, "this token may not do that"),
    "throttled": (Status.RESOURCE_EXHAUSTED, "too many requests"),
    "broken": (Status.INTERNAL, "the server has a problem"),
    "half": (Status.INTERNAL, "the server has a problem"),
}


class Faults:
    """The calls of a cloud, and which of them fail."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        self.clients: set[str] = set()
        self._name = ""
        self._left = 0
        self._kind: Kind = "denied"
        self._victim = ""

    def clear(self) -> None:
        """Forget the calls, and let all succeed."""
        self.seen.clear()
        self._name = self._victim = ""

    def at(self, name: str, occurrence: int, kind: Kind) -> None:
        """Have a call fail, and every later one of its name, so that trying again does not help.

        Args:
            name: Which.
            occurrence: Which of those of its name that are seen from now on, from 0.
            kind: How.
        """
        self.clear()
        self._name, self._left, self._kind = name, occurrence, kind

    @property
    def victim(self) -> str:
        """The name of the call that failed; empty if none did yet."""
        return self._victim

    @asynccontextmanager
    async def meet(self, name: str, message: Any) -> AsyncIterator[None]:
        """Let a call through, or not."""
        if name in _QUIET:
            yield
            return
        self.seen.append((name, message))
        if name == self._name:
            self._left -= 1
            if self._left < 0:
                self._victim = name
        if name != self._victim:
            yield
        elif self._kind == "slow":
            await asyncio.sleep(0.3)
            yield
        elif self._kind == "half":
            yield
            raise GRPCError(*_ERRORS[self._kind])
        else:
            raise GRPCError(*_ERRORS[self._kind])
