"""What goes wrong on purpose: throttles, slow starts, a network that is lost."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import aiohttp
from multidict import CIMultiDict

from bentofn.adapters.local.clock import Clock
from bentofn.adapters.local.core.overflow import OverflowRules
from bentofn.adapters.local.instance_connection import Answer
from bentofn.adapters.local.lambda_.invocation import (
    Environment,
    Invocation,
    InvocationRefused,
    InvocationResult,
)
from bentofn.adapters.local.tickets import Assignment, Refused
from bentofn.adapters.local.upstream import Unreachable, Upstream
from bentofn.runtime.http.exchange import Header

FaultKind = Literal["throttle", "slow_start", "refused", "cut"]
"""``throttle``: a request finds no room. ``slow_start``: a start takes longer. ``refused``: an
instance takes no connection. ``cut``: it has done its work, and its answer is lost."""

_LOST = "The network between the platform and the instance was lost, as its test wants."


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Args:
        kind: What.
        times: How often; infinite until it is healed.
        seconds: Of a slow start: how much longer it takes, in the platform's time.
    """

    kind: FaultKind
    times: float = math.inf
    seconds: float = 0.0


class FunctionFaults:
    """What goes wrong with one function: one fault of a kind at a time."""

    def __init__(self) -> None:
        self._left: dict[FaultKind, Fault] = {}

    def add(self, fault: Fault) -> None:
        """Have something go wrong from now on, instead of what of the kind did before."""
        self._left[fault.kind] = fault

    def heal(self) -> None:
        """Have nothing go wrong any more."""
        self._left.clear()

    def throttle(self, rule: OverflowRules) -> Refused | None:
        """Why a request is refused, by the rule for those that find no room; None if it is not."""
        if self._take("throttle") is None:
            return None
        reason = "The function is throttled, as its test wants; try again later."
        return Refused(rule.status, reason, rule)

    async def hold_start(self, clock: Clock) -> None:
        """Wait for as long as a start takes longer."""
        fault = self._take("slow_start")
        if fault is not None:
            with clock.holding():
                await clock.sleep(fault.seconds)

    def spoil(self, assignment: Assignment) -> Assignment:
        """An assignment that will fail, if it is to."""
        fault = self._take("refused") or self._take("cut")
        if fault is None:
            return assignment
        environment = assignment.environment
        return dataclasses.replace(
            assignment,
            upstream=_Severed(assignment.upstream, fault.kind),
            environment=environment and _SeveredEnvironment(environment, fault.kind),
        )

    def _take(self, kind: FaultKind) -> Fault | None:
        fault = self._left.pop(kind, None)
        if fault is not None and fault.times > 1:
            self._left[kind] = dataclasses.replace(fault, times=fault.times - 1)
        return fault


class Faults:
    """What goes wrong on a platform, by function; it outlives their versions."""

    def __init__(self) -> None:
        self._functions: dict[str, FunctionFaults] = {}

    def of(self, function: str) -> FunctionFaults:
        """What goes wrong with one of them."""
        return self._functions.setdefault(function, FunctionFaults())


class _Severed(Upstream):
    """Connections to an instance that fail."""

    def __init__(self, upstream: Upstream, kind: FaultKind) -> None:
        self._upstream = upstream
        self._kind = kind

    async def forward(
        self, method: str, path: str, headers: Sequence[Header], body: bytes
    ) -> Answer:
        if self._kind == "refused":
            raise Unreachable
        (await self._upstream.forward(method, path, headers, body)).close()
        raise aiohttp.ServerDisconnectedError(_LOST)

    async def open_websocket(
        self,
        path: str,
        headers: CIMultiDict[str] | Mapping[str, str],
        protocols: Sequence[str],
        message_limit: int,
    ) -> aiohttp.ClientWebSocketResponse[bool]:
        raise Unreachable

    async def close(self) -> None:
        """They are the instance's."""


@dataclass(frozen=True)
class _SeveredEnvironment:
    """One of Lambda's environments that is not reached, or whose answer is not.

    A caller of Lambda's is told no more than that something failed inside.
    Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html (ServiceException)
    """

    environment: Environment
    kind: FaultKind

    async def invoke(self, invocation: Invocation) -> InvocationResult:
        if self.kind == "cut":
            await self.environment.invoke(dataclasses.replace(invocation, stream=None))
        raise InvocationRefused(500, "ServiceException", _LOST)
