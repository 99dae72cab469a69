"""The instances of one version of a function: who gets a request, when to start, when to stop."""

from __future__ import annotations

import math

from bentofn.adapters.local.core.autoscaling.base import Metrics, Scale
from bentofn.adapters.local.core.backoff import Backoff
from bentofn.adapters.local.core.members import Members, PooledInstance
from bentofn.adapters.local.core.messages import (
    Command,
    Dispatch,
    Drain,
    Event,
    InstanceExited,
    InstanceFailed,
    InstanceLost,
    InstanceReady,
    InstanceUnwanted,
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
from bentofn.adapters.local.core.waiting import Waiting


class Pool:
    """Decides for one version of a function; does nothing itself.

    Requests wait in order of arrival and go to the instance that was used last, so that the
    others become idle. The rule of scaling says how many instances there should be.

    Args:
        rules: The rules.
        prefix: What instance names start with.
    """

    def __init__(self, rules: PoolRules, prefix: str = "") -> None:
        self.rules = rules
        self.draining = False
        self.members = Members(rules.concurrency)
        self._prefix = prefix
        self._autoscaler = rules.scaling.autoscaler(rules.bounds)
        self._scale = Scale(0)
        self._granted = 0
        """Instances that the rule wants, as far as there may be so many."""
        self._kept = min(rules.min_instances, rules.max_instances)
        """Instances that are kept without requests."""
        self._queue = Waiting(rules.overflow, self.members)
        self._waiting = self._queue.arrivals
        self._runs_on: dict[int, str] = {}
        self._arrivals = 0
        self._started = 0
        self._wanted_once = False
        self._backoff = Backoff(rules.start_attempts, rules.start_backoff, rules.start_hold)
        self._wake_at = math.inf
        self._commands: list[Command] = []

    @property
    def instances(self) -> dict[str, PooledInstance]:
        """What there is, by name."""
        return self.members.instances

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._waiting)

    @property
    def urgent(self) -> bool:
        """Whether somebody waits for an instance to be started."""
        return bool(self._waiting) or self._wanted_once

    @property
    def empty(self) -> bool:
        """Whether there is neither a request nor an instance."""
        return not (self._waiting or self.instances)

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
                self._arrived(request, now)
            case RequestFinished(request) | RequestCancelled(request):
                self._release(request, now)
            case RequestTimedOut(request):
                self.members.retire(self._runs_on.get(request, ""))
                self._release(request, now)
            case InstanceReady(instance, keeps, sleeps=sleeps):
                self._ready(instance, keeps, sleeps, now)
                fresh = instance
            case InstanceFailed(instance, reason):
                self._failed(instance, reason, now)
            case InstanceExited(instance, reason, status):
                self._exited(instance, reason, status, now)
            case InstanceLost(instance):
                self._lost(instance)
            case InstanceWanted():
                if not self.members.active:
                    self._wanted_once = True
                    self._start(now)
            case InstanceUnwanted(instance):
                if instance in self.instances:
                    self.instances[instance].yields = True
                fresh = instance
            case Drain():
                self.draining = True
                self._kept = 0
            case Tick():
                self._wake_at = math.inf
        if self._waiting:
            self._expire(now)
            self._dispatch(fresh)
        if fresh is not None:
            self._yield(fresh)
        if self._waiting and isinstance(event, RequestArrived):
            self._refuse_overflow(event.request, "all", len(self._waiting))
        self._decide(now)
        if self._waiting and isinstance(event, RequestArrived):
            self._refuse_overflow(event.request, "excess", self._excess)
        self._settle(now)
        return self._commands

    def _arrived(self, request: int, now: float) -> None:
        self._arrivals += 1
        overflow = self.rules.overflow
        if self.draining:
            self._refuse(request, 503, "The function is being removed or replaced; try again.")
        elif self.rules.max_instances == 0:
            reason = "The function's reserved concurrency is 0."
            self._refuse(request, 429, reason, overflow=overflow.counts == "excess")
        elif overflow.at_zero == "refuse" and not self.members.serving:
            reason = "No instance of the function serves, and requests do not wait for one."
            self._refuse(request, overflow.status, reason, overflow=True)
        else:
            self._queue.add(request, now)

    def _release(self, request: int, now: float) -> None:
        self._queue.discard(request)
        self.members.release(self._runs_on.pop(request, ""), request, now)

    def _lost(self, name: str) -> None:
        instance = self.instances.get(name)
        if instance is not None and instance.state in ("ready", "retiring"):
            self._stop(instance)

    def _ready(self, name: str, keeps: bool, sleeps: bool, now: float) -> None:
        if self.members.ready(name, keeps, now, sleeps=sleeps):
            self._wanted_once = False
            self._backoff.served()

    def _yield(self, name: str) -> None:
        """Have one go that others need to, as soon as it has nothing to do."""
        instance = self.instances.get(name)
        if instance is None or not instance.yields or instance.state != "ready":
            return
        if instance.in_flight:
            self.members.retire(name)
        else:
            self._stop(instance, keep=self._is_kept(instance))

    def _failed(self, name: str, reason: str, now: float) -> None:
        instance = self.members.remove(name)
        if instance is None or instance.state == "stopping":
            return
        self._wanted_once = False
        if self._backoff.failed(now) and not self.members.active:
            for request in self._queue.take_all():
                self._refuse(request, 503, reason)
            self._backoff.afresh(now)

    def _exited(self, name: str, reason: str, status: int, now: float) -> None:
        instance = self.members.remove(name)
        if instance is None:
            return
        for request in sorted(instance.in_flight):
            self._runs_on.pop(request, None)
            self._refuse(request, status, reason)
        if instance.state == "ready":
            self._backoff.died(now)

    def _refuse(self, request: int, status: int, reason: str, *, overflow: bool = False) -> None:
        self._commands.append(Refuse(request, status, reason, overflow))

    @property
    def _excess(self) -> int:
        """Requests that wait for more than the instances that there may be."""
        granted = max(self._granted, self.members.active)
        return self.members.in_flight + len(self._waiting) - granted * self.rules.concurrency

    def _refuse_overflow(self, request: int, counts: str, waiting: int) -> None:
        rule = self.rules.overflow
        if rule.counts == counts and request in self._queue and waiting > rule.queue_limit:
            self._queue.discard(request)
            limit = rule.queue_limit
            reason = f"{limit} requests already wait for this function, its limit; try again later."
            if not limit:
                reason = "Every instance that the function may have is busy; try again later."
            self._refuse(request, rule.status, reason, overflow=True)

    def _expire(self, now: float) -> None:
        """Refuse those that have waited for too long."""
        for request in self._queue.expired(now):
            reason = "No instance of the function had room for the request in time; try again."
            self._refuse(request, self.rules.overflow.status, reason, overflow=True)

    def _dispatch(self, fresh: str | None) -> None:
        members, queue, waiting = self.members, self._queue, self._waiting
        while waiting:
            instance = members.free()
            if instance is None:
                return
            name = instance.id
            while waiting and members.takes_more(instance):
                request = queue.take()
                members.assign(instance, request)
                self._runs_on[request] = name
                self._commands.append(Dispatch(request, name, name == fresh))
            members.used(instance)

    def _decide(self, now: float) -> None:
        members = self.members
        metrics = Metrics(
            len(self._waiting),
            members.in_flight,
            members.count("ready"),
            members.count("starting"),
            self._arrivals,
            self._started,
            self._queue.oldest,
        )
        self._autoscaler.observe(metrics, now)
        self._scale = self._autoscaler.desired(now)
        self._granted = min(self._scale.least, self.rules.max_instances)

    @property
    def _gate(self) -> float:
        """When instances may be started that the rule wants."""
        backoff = self._backoff
        return backoff.retry_at if self._waiting else max(backoff.retry_at, backoff.hold_until)

    def _settle(self, now: float) -> None:
        """Come to the number of instances that is wanted, if that is not how many there are."""
        members, active = self.members, self.members.active
        if active < self._granted or active < self._kept:
            self._scale_out(now)
        is_spare = members.has_unused or active > self._scale.most
        if is_spare or self.draining:
            self._scale_in(now)
        self._wake(now)

    def _scale_out(self, now: float) -> None:
        # What drains gets no more requests: it needs instances only for those that wait.
        wanted = self._granted if now >= self._gate and (self._waiting or not self.draining) else 0
        kept = self._kept if now >= self._backoff.hold_until else 0
        for _ in range(max(wanted, kept) - self.members.active):
            if not self._start(now):
                return

    def _start(self, now: float) -> bool:
        if len(self.instances) - self.members.count("parking") >= self.rules.max_instances:
            return False
        self._started += 1
        name = f"{self._prefix}{self._started}"
        self.members.add(name, now)
        self._commands.append(StartInstance(name))
        return True

    def _scale_in(self, now: float) -> None:
        members = self.members
        if self.draining and not self._waiting:
            for instance in members.starting():
                self._stop(instance)
        for instance in members.retired():
            self._stop(instance, keep=instance.yields and self._is_kept(instance))
        self._shrink()
        while (idle := members.longest_idle()) is not None:
            if members.count("ready") <= self._kept or now < self._expires(idle):
                return
            self._stop(idle, keep=self._is_kept(idle))

    def _shrink(self) -> None:
        """Let go what is more than the rule wants: first what serves nobody yet, then idle ones."""
        least = max(self._kept, int(self._wanted_once))
        spare = self.members.active - max(least, self._scale.most)
        if spare <= 0 or self.draining:
            return
        for instance in self.members.least_useful(int(spare)):
            if instance.in_flight:
                self.members.retire(instance.id)
            else:
                self._stop(instance, keep=self._is_kept(instance))

    def _is_kept(self, instance: PooledInstance) -> bool:
        members = self.members
        alone = members.active + members.count("retiring") + members.count("parking") == 1
        if self.draining:
            return False
        if instance.sleeps and (alone or instance.yields):
            return True
        return instance.keeps and alone and instance.last_used > 0

    def _expires(self, instance: PooledInstance) -> float:
        return instance.idle_since + (0.0 if self.draining else self.rules.idle_timeout)

    def _stop(self, instance: PooledInstance, *, keep: bool = False) -> None:
        self.members.change(instance, "parking" if keep else "stopping")
        self._commands.append(StopInstance(instance.id, keep))

    def _wake(self, now: float) -> None:
        if now >= self._wake_at:
            self._wake_at = math.inf
        members, kept = self.members, self._kept
        active = members.active
        times = [self._autoscaler.wake(now), self._queue.expiry]
        if self._granted > active:
            times.append(self._gate)
        if kept > active:
            times.append(self._backoff.hold_until)
        if active > kept and (idle := members.longest_idle()) and members.count("ready") > kept:
            times.append(self._expires(idle))
        # Only an earlier time is told: a Tick that comes too early does no harm.
        told = self._wake_at
        for time in times:
            if now < time < self._wake_at:
                self._wake_at = time
        if self._wake_at < told:
            self._commands.append(WakeAt(self._wake_at))
