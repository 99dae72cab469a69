"""The instances of one version of a function: who gets a request, when to start, when to stop."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field

from bentofn.adapters.local.core.messages import (
    Command,
    Dispatch,
    Drain,
    Event,
    InstanceExited,
    InstanceFailed,
    InstanceLost,
    InstanceReady,
    InstanceWanted,
    Refuse,
    RequestArrived,
    RequestCancelled,
    RequestFinished,
    RequestTimedOut,
    StartInstance,
    StopInstance,
    Tick,
    WakeAt,
)
from bentofn.adapters.local.core.rules import PoolRules


@dataclass
class PooledInstance:
    """An instance as the pool sees it.

    Its ``state`` is starting, ready, retiring (it finishes what it has, then stops), stopping, or
    parking (it stops once what it has become is kept, if it ``keeps`` that; one at a time).
    """

    id: str
    state: str = "starting"
    keeps: bool = False
    in_flight: set[int] = field(default_factory=set)
    idle_since: float = 0.0
    last_used: int = 0


class Pool:
    """Decides for one version of a function; does nothing itself.

    Requests wait in order of arrival and go to the instance that was used last, so that the
    others become idle. Instances are started while those that are ready or starting cannot take
    everything that runs or waits.

    Args:
        rules: The rules.
        prefix: What instance names start with.
    """

    def __init__(self, rules: PoolRules, prefix: str = "") -> None:
        self.rules = rules
        self.draining = False
        self.instances: dict[str, PooledInstance] = {}
        self._prefix = prefix
        self._queue: OrderedDict[int, None] = OrderedDict()
        self._runs_on: dict[int, str] = {}
        self._started = 0
        self._uses = 0
        self._failures = 0
        self._retry_at = -math.inf
        self._hold_until = -math.inf
        self._wake_at = math.inf
        self._commands: list[Command] = []

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    @property
    def empty(self) -> bool:
        """Whether there is neither a request nor an instance."""
        return not (self._queue or self.instances)

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take an event in and say what to do, in this order.

        Args:
            event: What happened. Requests and instances that are not known are let pass.
            now: When; never earlier than at the call before.
        """
        self._commands = []
        fresh = None
        match event:
            case RequestArrived(request):
                self._arrived(request)
            case RequestFinished(request) | RequestCancelled(request):
                self._release(request, now)
            case RequestTimedOut(request):
                self._retire(self._runs_on.get(request, ""))
                self._release(request, now)
            case InstanceReady(instance, keeps):
                self._ready(instance, keeps, now)
                fresh = instance
            case InstanceFailed(instance, reason):
                self._failed(instance, reason, now)
            case InstanceExited(instance, reason):
                self._exited(instance, reason, now)
            case InstanceLost(instance):
                self._lost(instance)
            case InstanceWanted():
                if not self._count("starting", "ready"):
                    self._start()
            case Drain():
                self.draining = True
            case Tick():
                self._wake_at = math.inf
        self._dispatch(fresh)
        if isinstance(event, RequestArrived):
            self._refuse_overflow(event.request)
        self._scale_out(now)
        self._scale_in(now)
        self._wake(now)
        return self._commands

    def _arrived(self, request: int) -> None:
        if self.draining:
            self._refuse(request, 503, "The function is being removed or replaced; try again.")
        elif self.rules.max_instances == 0:
            self._refuse(request, 429, "The function's reserved concurrency is 0.")
        else:
            self._queue[request] = None

    def _release(self, request: int, now: float) -> None:
        self._queue.pop(request, None)
        instance = self.instances.get(self._runs_on.pop(request, ""))
        if instance is not None:
            instance.in_flight.discard(request)
            instance.idle_since = now

    def _retire(self, name: str) -> None:
        # It may be stuck: who was used last is preferred, so it would get the next request too.
        instance = self.instances.get(name)
        if instance is not None and instance.state == "ready":
            instance.state = "retiring"

    def _lost(self, name: str) -> None:
        instance = self.instances.get(name)
        if instance is not None and instance.state in ("ready", "retiring"):
            self._stop([instance])

    def _ready(self, name: str, keeps: bool, now: float) -> None:
        instance = self.instances.get(name)
        if instance is not None and instance.state == "starting":
            instance.state = "ready"
            instance.keeps = keeps
            instance.idle_since = now
            self._failures = 0
            self._retry_at = self._hold_until = -math.inf

    def _failed(self, name: str, reason: str, now: float) -> None:
        instance = self.instances.pop(name, None)
        if instance is None or instance.state == "stopping":
            return
        self._failures += 1
        if self._failures < self.rules.start_attempts:
            wait = self.rules.start_backoff * 2 ** (self._failures - 1)
            self._retry_at = self._hold_until = now + wait
            return
        self._retry_at = self._hold_until = now + self.rules.start_hold
        if not self._count("starting", "ready"):
            for request in self._queue:
                self._refuse(request, 503, reason)
            self._queue.clear()
            # The next request finds a function that is tried afresh.
            self._failures = 0
            self._retry_at = now

    def _exited(self, name: str, reason: str, now: float) -> None:
        instance = self.instances.pop(name, None)
        if instance is None:
            return
        for request in sorted(instance.in_flight):
            self._runs_on.pop(request, None)
            self._refuse(request, 502, reason)
        if instance.state == "ready":
            # One that dies as soon as it is up must not be replaced in a tight loop.
            self._hold_until = now + self.rules.start_backoff

    def _refuse(self, request: int, status: int, reason: str) -> None:
        self._commands.append(Refuse(request, status, reason))

    def _refuse_overflow(self, request: int) -> None:
        if request in self._queue and len(self._queue) > self.rules.queue_limit:
            del self._queue[request]
            limit = self.rules.queue_limit
            reason = f"{limit} requests already wait for this function, its limit; try again later."
            self._refuse(request, self.rules.queue_full_status, reason)

    def _dispatch(self, fresh: str | None) -> None:
        while self._queue:
            free = [i for i in self.instances.values() if self._takes_more(i)]
            if not free:
                return
            instance = max(free, key=lambda i: i.last_used)
            while self._queue and self._takes_more(instance):
                request, _ = self._queue.popitem(last=False)
                instance.in_flight.add(request)
                self._runs_on[request] = instance.id
                self._commands.append(Dispatch(request, instance.id, instance.id == fresh))
            self._uses += 1
            instance.last_used = self._uses

    def _takes_more(self, instance: PooledInstance) -> bool:
        return instance.state == "ready" and len(instance.in_flight) < self.rules.concurrency

    def _wanted(self) -> int:
        demand = len(self._queue) + sum(
            len(i.in_flight) for i in self.instances.values() if i.state == "ready"
        )
        return min(math.ceil(demand / self.rules.concurrency), self.rules.max_instances)

    def _kept(self) -> int:
        return 0 if self.draining else min(self.rules.min_instances, self.rules.max_instances)

    def _scale_out(self, now: float) -> None:
        wanted = self._wanted() if now >= self._retry_at else 0
        kept = self._kept() if now >= self._hold_until else 0
        missing = max(wanted, kept) - self._count("starting", "ready")
        for _ in range(missing):
            self._start()

    def _start(self) -> None:
        if len(self.instances) - self._count("parking") < self.rules.max_instances:
            self._started += 1
            name = f"{self._prefix}{self._started}"
            self.instances[name] = PooledInstance(name)
            self._commands.append(StartInstance(name))

    def _scale_in(self, now: float) -> None:
        if self.draining and not self._queue:
            self._stop([i for i in self.instances.values() if i.state == "starting"])
        self._stop(
            [i for i in self.instances.values() if i.state == "retiring" and not i.in_flight]
        )
        idle = self._idle()
        spare = max(0, self._count("ready") - self._kept())
        for instance in [i for i in idle[:spare] if now >= self._expires(i)]:
            self._stop([instance], keep=self._is_kept(instance))

    def _is_kept(self, instance: PooledInstance) -> bool:
        alone = self._count("starting", "ready", "retiring", "parking") == 1 and not self.draining
        return instance.keeps and alone and instance.last_used > 0

    def _idle(self) -> list[PooledInstance]:
        """Ready instances without a request, the one used longest ago first."""
        idle = [i for i in self.instances.values() if i.state == "ready" and not i.in_flight]
        return sorted(idle, key=lambda i: (i.idle_since, i.last_used))

    def _expires(self, instance: PooledInstance) -> float:
        return instance.idle_since + (0.0 if self.draining else self.rules.idle_timeout)

    def _stop(self, instances: list[PooledInstance], *, keep: bool = False) -> None:
        for instance in instances:
            instance.state = "parking" if keep else "stopping"
            self._commands.append(StopInstance(instance.id, keep))

    def _wake(self, now: float) -> None:
        if now >= self._wake_at:
            self._wake_at = math.inf
        times = []
        active = self._count("starting", "ready")
        if self._wanted() > active:
            times.append(self._retry_at)
        if self._kept() > active:
            times.append(self._hold_until)
        idle = self._idle()
        if idle and self._count("ready") > self._kept():
            times.append(self._expires(idle[0]))
        # Only an earlier time is told: a Tick that comes too early does no harm.
        next_time = min((t for t in times if t > now), default=math.inf)
        if next_time < self._wake_at:
            self._wake_at = next_time
            self._commands.append(WakeAt(next_time))

    def _count(self, *states: str) -> int:
        return sum(1 for i in self.instances.values() if i.state in states)
