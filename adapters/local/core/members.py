"""The books of a pool: its instances, what each is doing, and which one comes next for what.

Every question is answered without looking through all of them: there may be a thousand.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

_STATES = ("starting", "ready", "retiring", "stopping", "parking")


@dataclass
class PooledInstance:
    """An instance as the pool sees it.

    Its ``state`` is starting, ready, retiring (it finishes what it has, then stops), stopping, or
    parking (it stops once what it has become is kept, if it ``keeps`` that; one at a time). One
    that ``yields`` goes as soon as it has nothing to do, for others to have what it has.
    """

    id: str
    state: str = "starting"
    keeps: bool = False
    sleeps: bool = False
    yields: bool = False
    in_flight: set[int] = field(default_factory=set)
    started_at: float = 0.0
    idle_since: float = 0.0
    last_used: int = 0


class Members:
    """The instances of a pool.

    Args:
        concurrency: Requests that an instance takes at a time.
    """

    def __init__(self, concurrency: int) -> None:
        self.instances: dict[str, PooledInstance] = {}
        self.in_flight = 0
        """Requests that instances have which take more."""
        self._concurrency = concurrency
        self._states = dict.fromkeys(_STATES, 0)
        self._idle: dict[str, None] = {}
        self._retiring: dict[str, None] = {}
        self._free: list[tuple[int, str]] = []
        self._uses = 0
        self._starts = 0
        self._start_seconds = 0.0

    @property
    def active(self) -> int:
        """Instances that serve, or will."""
        return self._states["starting"] + self._states["ready"]

    @property
    def serving(self) -> bool:
        """Whether one takes requests."""
        return self._states["ready"] > 0

    @property
    def average_start(self) -> float | None:
        """Seconds that a start took, on average; None before the first."""
        return self._start_seconds / self._starts if self._starts else None

    @property
    def has_unused(self) -> bool:
        """Whether one is idle, or stops once it is."""
        return bool(self._idle or self._retiring)

    def count(self, state: str) -> int:
        """Instances in this state."""
        return self._states[state]

    def add(self, name: str, now: float) -> None:
        """An instance is started."""
        self.instances[name] = PooledInstance(name, started_at=now)
        self._states["starting"] += 1

    def ready(self, name: str, keeps: bool, now: float, *, sleeps: bool = False) -> bool:
        """A starting instance serves; False where there is none of this name."""
        instance = self.instances.get(name)
        if instance is None or instance.state != "starting":
            return False
        self.change(instance, "ready")
        instance.keeps, instance.sleeps = keeps, sleeps
        self._starts += 1
        self._start_seconds += now - instance.started_at
        self._rest(instance, now)
        self._offer(instance)
        return True

    def remove(self, name: str) -> PooledInstance | None:
        """An instance is gone; it still says in which state it was."""
        instance = self.instances.pop(name, None)
        if instance is not None:
            self._leave(instance)
        return instance

    def change(self, instance: PooledInstance, state: str) -> None:
        """An instance is in another state from now on."""
        self._leave(instance)
        instance.state = state
        self._states[state] += 1
        if state == "ready":
            self.in_flight += len(instance.in_flight)
        if state == "retiring":
            self._retiring[instance.id] = None

    def retire(self, name: str) -> None:
        """An instance gets no more requests, and stops once it has none."""
        # One that is stuck was used last, so it would get the next request too.
        instance = self.instances.get(name)
        if instance is not None and instance.state == "ready":
            self.change(instance, "retiring")

    def takes_more(self, instance: PooledInstance) -> bool:
        """Whether an instance has room for a request."""
        return instance.state == "ready" and len(instance.in_flight) < self._concurrency

    def free(self) -> PooledInstance | None:
        """The instance with room that was used last."""
        while self._free:
            uses, name = self._free[0]
            instance = self.instances.get(name)
            if instance is not None and instance.last_used == -uses and self.takes_more(instance):
                return instance
            heapq.heappop(self._free)
        return None

    def assign(self, instance: PooledInstance, request: int) -> None:
        """An instance gets a request."""
        instance.in_flight.add(request)
        self.in_flight += 1
        self._idle.pop(instance.id, None)

    def used(self, instance: PooledInstance) -> None:
        """An instance has got requests: it is the one that was used last."""
        self._uses += 1
        instance.last_used = self._uses
        if self.takes_more(instance):
            self._offer(instance)

    def release(self, name: str, request: int, now: float) -> None:
        """An instance has a request no more."""
        instance = self.instances.get(name)
        if instance is None or request not in instance.in_flight:
            return
        was_full = not self.takes_more(instance)
        instance.in_flight.discard(request)
        instance.idle_since = now
        if instance.state != "ready":
            return
        self.in_flight -= 1
        self._rest(instance, now)
        if was_full:
            self._offer(instance)

    def longest_idle(self) -> PooledInstance | None:
        """The instance without a request that was used longest ago."""
        name = next(iter(self._idle), None)
        return None if name is None else self.instances[name]

    def starting(self) -> list[PooledInstance]:
        """Instances that do not serve yet."""
        return [each for each in self.instances.values() if each.state == "starting"]

    def retired(self) -> list[PooledInstance]:
        """Instances that get no more requests and have none."""
        if not self._retiring:
            return []
        retiring = [self.instances[name] for name in self._retiring]
        return [instance for instance in retiring if not instance.in_flight]

    def least_useful(self, count: int) -> Iterator[PooledInstance]:
        """So many of those that serve or will: starting ones, idle ones, then others.

        Of the starting ones the latest, of idle ones the longest idle, of the others those with
        the fewest requests come first.
        """
        starting = self.starting()[::-1]
        idle = [self.instances[name] for name in self._idle]
        chosen = [*starting, *idle][:count]
        if len(chosen) < count:
            busy = [i for i in self.instances.values() if i.state == "ready" and i.in_flight]
            chosen += sorted(busy, key=lambda i: len(i.in_flight))[: count - len(chosen)]
        yield from chosen

    def _offer(self, instance: PooledInstance) -> None:
        heapq.heappush(self._free, (-instance.last_used, instance.id))

    def _rest(self, instance: PooledInstance, now: float) -> None:
        if not instance.in_flight:
            instance.idle_since = now
            self._idle[instance.id] = None

    def _leave(self, instance: PooledInstance) -> None:
        self._states[instance.state] -= 1
        self._idle.pop(instance.id, None)
        self._retiring.pop(instance.id, None)
        if instance.state == "ready":
            self.in_flight -= len(instance.in_flight)
