"""What a backend would have charged: a meter fed with what the pool is told and what it answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bentofn.adapters.local.core.messages import (
    Command,
    Dispatch,
    Event,
    InstanceExited,
    InstanceFailed,
    InstanceReady,
    RequestCancelled,
    RequestFinished,
    RequestTimedOut,
    StartInstance,
)

_GIBI = 1024
"""MiB."""


@dataclass(frozen=True)
class Size:
    """What an instance is paid for.

    Args:
        memory: MiB.
        cpu: CPUs.
    """

    memory: int
    cpu: float


class Meter(Protocol):
    """Adds up what a function costs."""

    def handle(self, message: Event | Command, now: float) -> None:
        """Take in an event that the pool was told, or a command that it gave."""

    def cost(self, now: float) -> float:
        """What it comes to, in the price's currency."""


class Pricing(Protocol):
    """The constants of one way to charge."""

    def meter(self, size: Size) -> Meter:
        """A new meter for a function whose instances have this size."""


@dataclass(frozen=True)
class NoPrice:
    """Nobody charges: the machines are the user's own."""

    def meter(self, size: Size) -> Meter:
        """See :class:`Pricing`."""
        return FreeMeter()


class FreeMeter:
    """Counts nothing."""

    def handle(self, message: Event | Command, now: float) -> None:
        """See :class:`Meter`."""

    def cost(self, now: float) -> float:
        """See :class:`Meter`."""
        return 0.0


@dataclass(frozen=True)
class RequestPrice:
    """Lambda's: each request, and the memory of its environment while it runs or is initialised.

    Source: https://aws.amazon.com/lambda/pricing/

    Args:
        per_request: For each request.
        per_gib_second: For each GiB and second.
        step: Seconds that a duration is rounded up to.
        restore_per_gib: For each restore of a snapshot, by memory.
        cache_per_gib_second: For a snapshot that is kept.
        cache_least: Seconds that a snapshot is paid for at least.
    """

    per_request: float
    per_gib_second: float
    step: float
    restore_per_gib: float
    cache_per_gib_second: float
    cache_least: float

    def meter(self, size: Size) -> Meter:
        """See :class:`Pricing`."""
        return RequestMeter(self, size)


class RequestMeter:
    """See :class:`RequestPrice`.

    What the backend reports of a request is what it bills, the start in the first one's included;
    what is not reported is billed as it was measured.
    """

    def __init__(self, price: RequestPrice, size: Size) -> None:
        self._price = price
        self._gib = size.memory / _GIBI
        self._runs: dict[int, tuple[str, float]] = {}
        self._starts: dict[str, float] = {}
        self._started: dict[str, int] = {}
        """Steps of the starts that no request has been billed with."""
        self._requests = self._restores = self._steps = 0
        self._cached_since: float | None = None

    def handle(self, message: Event | Command, now: float) -> None:
        """See :class:`Meter`."""
        match message:
            case Dispatch(request, instance):
                self._requests += 1
                self._runs[request] = (instance, now)
            case RequestFinished(request, billed):
                self._bill(request, now, billed)
            case RequestCancelled(request) | RequestTimedOut(request):
                self._bill(request, now, None)
            case StartInstance(instance):
                self._starts[instance] = now
            case InstanceReady(instance, start="restored"):
                # A restore is paid by memory; what was initialised is not initialised again.
                self._starts.pop(instance, None)
                self._restores += 1
                self._cached_since = now if self._cached_since is None else self._cached_since
            case InstanceReady(instance):
                self._started[instance] = self._start_steps(instance, now)
            case InstanceFailed(instance):
                self._steps += self._start_steps(instance, now)
            case InstanceExited(instance):
                self._steps += self._started.pop(instance, 0)

    def cost(self, now: float) -> float:
        """See :class:`Meter`."""
        price = self._price
        cached = 0.0
        if self._cached_since is not None:
            cached = max(price.cache_least, now - self._cached_since)
        per_gib = (
            self._steps * price.step * price.per_gib_second
            + self._restores * price.restore_per_gib
            + cached * price.cache_per_gib_second
        )
        return self._requests * price.per_request + self._gib * per_gib

    def _bill(self, request: int, now: float, billed: float | None) -> None:
        if request not in self._runs:
            return
        instance, since = self._runs.pop(request)
        start = self._started.pop(instance, 0)
        if billed is None:
            self._steps += start + _steps(now - since, self._price.step)
        else:
            self._steps += _steps(billed, self._price.step)

    def _start_steps(self, instance: str, now: float) -> int:
        return _steps(now - self._starts.pop(instance, now), self._price.step)


@dataclass(frozen=True)
class InstancePrice:
    """Instances by the second, from their start on.

    Args:
        per_second: For each second of an instance, whatever it has.
        per_cpu_second: For each CPU and second.
        per_gib_second: For each GiB of memory and second.
        per_request: For each request.
        step: Seconds that a stretch is rounded up to.
        idle: Whether the time without a request is charged.
    """

    per_second: float
    per_cpu_second: float
    per_gib_second: float
    per_request: float
    step: float
    idle: bool

    def meter(self, size: Size) -> Meter:
        """See :class:`Pricing`."""
        return InstanceMeter(self, size)


class InstanceMeter:
    """See :class:`InstancePrice`. A stretch is the time that is charged without a break."""

    def __init__(self, price: InstancePrice, size: Size) -> None:
        self._price = price
        self._rate = (
            price.per_second
            + price.per_cpu_second * size.cpu
            + price.per_gib_second * size.memory / _GIBI
        )
        self._stretches: dict[str, float] = {}
        self._busy: dict[str, set[int]] = {}
        self._runs_on: dict[int, str] = {}
        self._requests = self._steps = 0

    def handle(self, message: Event | Command, now: float) -> None:
        """See :class:`Meter`."""
        match message:
            case StartInstance(instance):
                self._stretches[instance] = now
                self._busy[instance] = set()
            case InstanceReady(instance):
                self._rest(instance, now)
            case InstanceFailed(instance) | InstanceExited(instance):
                self._end(instance, now)
                self._busy.pop(instance, None)
            case Dispatch(request, instance):
                self._requests += 1
                self._runs_on[request] = instance
                self._busy[instance].add(request)
                self._stretches.setdefault(instance, now)
            case RequestFinished(request) | RequestCancelled(request) | RequestTimedOut(request):
                instance = self._runs_on.pop(request, "")
                self._busy.get(instance, set()).discard(request)
                self._rest(instance, now)

    def cost(self, now: float) -> float:
        """See :class:`Meter`."""
        step = self._price.step
        steps = self._steps + sum(_steps(now - since, step) for since in self._stretches.values())
        return self._requests * self._price.per_request + steps * step * self._rate

    def _rest(self, instance: str, now: float) -> None:
        if not (self._price.idle or self._busy.get(instance)):
            self._end(instance, now)

    def _end(self, instance: str, now: float) -> None:
        since = self._stretches.pop(instance, None)
        if since is not None:
            self._steps += _steps(now - since, self._price.step)


def _steps(seconds: float, step: float) -> int:
    # Times are sums of floats: what is a whole number of steps must not become one more.
    return math.ceil(round(seconds / step, 6))


_PRICES: Mapping[str, type[NoPrice] | type[RequestPrice] | type[InstancePrice]] = {
    "none": NoPrice,
    "requests": RequestPrice,
    "instances": InstancePrice,
}


def pricing(name: str, constants: Mapping[str, Any]) -> Pricing:
    """A way to charge with its constants.

    Args:
        name: Its name in a profile.
        constants: What its dataclass holds.
    """
    return _PRICES[name](**constants)
