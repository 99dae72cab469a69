"""The same pools and autoscalers under virtual time: a heap of events in place of a machine."""

from __future__ import annotations

import functools
import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bentofn.adapters.local.core.billing import Meter
from bentofn.adapters.local.core.messages import (
    Command,
    Dispatch,
    Event,
    InstanceExited,
    InstanceFailed,
    InstanceReady,
    Refuse,
    RequestArrived,
    RequestFinished,
    StartInstance,
    StopInstance,
    Tick,
    WakeAt,
)
from bentofn.adapters.local.core.pool import Pool
from bentofn.adapters.local.core.rules import PoolRules

Sampler = Callable[[random.Random], float]
"""Draws a duration in seconds."""


@dataclass(frozen=True)
class World:
    """What the rules do not decide. Durations are in seconds.

    Args:
        service: How long a request runs, once an instance has it.
        start: How long an instance takes to serve, or to fail.
        stop: How long it takes to be gone once it is told to stop.
        failing_starts: The part of the starts that fail.
        crashes: The part of the requests that end their instance.
    """

    service: Sampler
    start: Sampler
    stop: Sampler = lambda random: 0.1
    failing_starts: float = 0.0
    crashes: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """What became of a request. Times are in seconds of the simulation.

    Args:
        request: Its number, from 0, in order of arrival.
        arrived: When it came.
        begun: When an instance had it; None where none ever did.
        ended: When it was answered or refused.
        status: 200, or the status of the refusal.
        cold: Whether it waited for its instance's start.
    """

    request: int
    arrived: float
    begun: float | None
    ended: float
    status: int
    cold: bool


@dataclass
class Result:
    """What a simulation came to.

    Args:
        outcomes: Of every request, in the order in which they ended.
        most_instances: Instances at the same time, at most.
        starts: Instances started.
        ended: When the last event was.
        cost: What it cost, in the currency of the meter's price.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    most_instances: int = 0
    starts: int = 0
    ended: float = 0.0
    cost: float = 0.0

    @property
    def statuses(self) -> Counter[int]:
        """Number of requests by status."""
        return Counter(outcome.status for outcome in self.outcomes)


class Simulation:
    """One function under virtual time. The same seed gives the same result.

    Args:
        rules: Its rules.
        world: What the rules do not decide.
        seed: Of everything that is drawn.
        meter: What adds up the cost, if that is asked for.
    """

    def __init__(
        self, rules: PoolRules, world: World, seed: int = 0, meter: Meter | None = None
    ) -> None:
        self.pool = Pool(rules, "i")
        self.result = Result()
        self._world = world
        self._random = random.Random(seed)
        self._meter = meter
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._now = 0.0
        self._wakes = 0
        self._arrived: dict[int, float] = {}
        self._begun: dict[int, tuple[float, bool]] = {}
        self._starting: set[str] = set()
        self._living: set[str] = set()

    def run(self, arrivals: Iterable[float], until: float) -> Result:
        """Let requests come, and time pass until nothing is left to happen.

        Args:
            arrivals: When requests come, in order.
            until: When to end at the latest.
        """
        coming = iter(arrivals)
        self._feed(Tick())
        self._next_arrival(coming, itertools.count())
        while self._heap and self._heap[0][0] <= until:
            self._now, _, act = heapq.heappop(self._heap)
            act()
        self.result.ended = self._now
        if self._meter is not None:
            self.result.cost = self._meter.cost(self._now)
        return self.result

    def _next_arrival(self, coming: Iterable[float], numbers: itertools.count[int]) -> None:
        at = next(iter(coming), None)
        if at is None:
            return

        def arrive() -> None:
            request = next(numbers)
            self._arrived[request] = self._now
            self._feed(RequestArrived(request))
            self._next_arrival(coming, numbers)

        self._at(at, arrive)

    def _at(self, time: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (max(time, self._now), next(self._order), act))

    def _after(self, sampler: Sampler, act: Callable[[], None]) -> None:
        self._at(self._now + sampler(self._random), act)

    def _feed(self, event: Event) -> None:
        commands = self.pool.handle(event, self._now)
        if self._meter is not None:
            for message in (event, *commands):
                self._meter.handle(message, self._now)
        for command in commands:
            self._obey(command)
        self.result.most_instances = max(self.result.most_instances, len(self.pool.instances))

    def _obey(self, command: Command) -> None:
        match command:
            case StartInstance(instance):
                self.result.starts += 1
                self._starting.add(instance)
                self._after(self._world.start, lambda: self._started(instance))
            case StopInstance(instance):
                self._after(self._world.stop, lambda: self._exit(instance, "stopped"))
            case Dispatch(request, instance, started):
                self._begun[request] = (self._now, started)
                self._after(self._world.service, lambda: self._served(request, instance))
            case Refuse(request, status):
                self._end(request, status)
            case WakeAt(time):
                self._wakes += 1
                self._at(time, functools.partial(self._tick, self._wakes))

    def _tick(self, wake: int) -> None:
        if wake == self._wakes:
            self._feed(Tick())

    def _started(self, instance: str) -> None:
        if instance not in self._starting:
            return  # told to stop before
        self._starting.discard(instance)
        if self._random.random() < self._world.failing_starts:
            self._feed(InstanceFailed(instance, "it does not start"))
            return
        self._living.add(instance)
        self._feed(InstanceReady(instance))

    def _served(self, request: int, instance: str) -> None:
        if request not in self._begun:
            return  # refused with the end of its instance
        if self._random.random() < self._world.crashes:
            self._exit(instance, "it crashed")
            return
        self._end(request, 200)
        self._feed(RequestFinished(request))

    def _exit(self, instance: str, reason: str) -> None:
        if instance in self._starting:
            self._starting.discard(instance)
            self._feed(InstanceFailed(instance, reason))
        elif instance in self._living:
            self._living.discard(instance)
            self._feed(InstanceExited(instance, reason))

    def _end(self, request: int, status: int) -> None:
        begun, cold = self._begun.pop(request, (None, False))
        arrived = self._arrived.pop(request)
        self.result.outcomes.append(Outcome(request, arrived, begun, self._now, status, cold))
