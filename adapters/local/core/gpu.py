"""Whose turn it is on which GPU: functions that do not fit there together take turns.

An instance waits until there is room for what its function was seen to need; the first one, of
which that is seen when it goes, has a GPU for itself. Where there is no room the instances that are
idle make it, the one that was used longest ago first; those that are busy finish what they have,
and are asked to go only when somebody has waited for a while. Who waits with requests is served in
order of arrival: nobody who came later gets a GPU that an earlier one waits for.

A ledger decides and does nothing itself, as :class:`~bentofn.adapters.local.core.pool.Pool`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

PATIENCE = 2.0
"""Seconds that somebody waits for GPUs on which all are busy before those are asked to go."""


@dataclass(frozen=True)
class Claim:
    """What an instance needs.

    Args:
        function: Whose instance it is; they need alike.
        count: GPUs.
        memory: Bytes on each; None for what instances of the function were seen to need.
    """

    function: str
    count: int = 1
    memory: int | None = None


@dataclass(frozen=True)
class Wanted:
    """An instance is to be started; answered by :class:`Granted` or :class:`Impossible`."""

    instance: str
    claim: Claim
    urgent: bool = True


@dataclass(frozen=True)
class Seen:
    """How an instance stands.

    Args:
        instance: It.
        idle: Whether it serves and has no request.
        urgent: Whether requests wait for it: others make room only then.
    """

    instance: str
    idle: bool = False
    urgent: bool = True


@dataclass(frozen=True)
class Measured:
    """What is used of the GPU of an instance.

    Args:
        instance: It.
        used: Bytes, by whomever: by it alone where it has the GPU for itself.
        reserved: Bytes that its framework has had at most; 0 where nobody knows.
    """

    instance: str
    used: int
    reserved: int


@dataclass(frozen=True)
class Gone:
    """An instance has no memory on a GPU any more, or does not wait any more."""

    instance: str


@dataclass(frozen=True)
class Tick:
    """Time has passed."""


Event = Wanted | Seen | Measured | Gone | Tick


@dataclass(frozen=True)
class Granted:
    """An instance may start, on these GPUs."""

    instance: str
    gpus: tuple[str, ...]


@dataclass(frozen=True)
class Evict:
    """An instance is to go: at once where it is idle, else when it has answered what it has."""

    instance: str


@dataclass(frozen=True)
class Impossible:
    """An instance can never start here; the reason is a sentence."""

    instance: str
    reason: str


@dataclass(frozen=True)
class WakeAt:
    """Send a Tick at this time; it replaces an earlier one."""

    time: float


Command = Granted | Evict | Impossible | WakeAt


@dataclass
class Holder:
    """An instance that has GPUs, or waits for them.

    Args:
        claim: What it needs.
        since: When it began to wait.
        urgent: Whether others make room for it.
        gpus: Those that it has; none while it waits.
        memory: Bytes that it has, or may come to have, on each.
        idle: Whether it serves and has no request.
        leaving: Whether it was told to go.
        used: When it was used last, among all.
    """

    claim: Claim
    since: float
    urgent: bool
    gpus: tuple[str, ...] = ()
    memory: Mapping[str, int] = field(default_factory=dict)
    idle: bool = False
    leaving: bool = False
    used: int = 0


class Ledger:
    """The books of a machine's GPUs.

    Args:
        gpus: Bytes of memory of each.
    """

    def __init__(self, gpus: Mapping[str, int]) -> None:
        self.gpus = dict(gpus)
        self.holders: dict[str, Holder] = {}
        """Those that wait too, in order of arrival."""
        self._needs: dict[str, tuple[int, int]] = {}
        """Function to what its instances need on a GPU, and what of that is not its framework's."""
        self._homes: dict[str, tuple[str, ...]] = {}
        """Function to the GPUs that its latest instance had: what is kept of it fits there only."""
        self._uses = itertools.count(1)
        self._commands: list[Command] = []

    def free(self, gpu: str) -> int:
        """Bytes of a GPU that nobody has."""
        return self.gpus[gpu] - sum(each.memory.get(gpu, 0) for each in self.holders.values())

    def need(self, claim: Claim, gpu: str) -> int:
        """Bytes that an instance is to have on a GPU: all of one where nobody knows."""
        known = self._needs.get(claim.function, (self.gpus[gpu], 0))[0]
        return claim.memory if claim.memory is not None else min(known, self.gpus[gpu])

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take an event in and say what to do, in this order.

        Args:
            event: What happened. Instances that are not known are let pass.
            now: When; never earlier than at the call before.
        """
        self._commands = []
        match event:
            case Wanted(instance, claim, urgent):
                refusal = self._why_never(claim)
                if refusal:
                    self._commands.append(Impossible(instance, refusal))
                else:
                    self.holders[instance] = Holder(claim, now, urgent)
            case Seen(instance, idle, urgent):
                holder = self.holders.get(instance)
                if holder is not None:
                    if holder.idle != idle:
                        holder.used = next(self._uses)
                    holder.idle, holder.urgent = idle, urgent
            case Measured(instance, used, reserved):
                self._measured(instance, used, reserved)
            case Gone(instance):
                self.holders.pop(instance, None)
            case Tick():
                pass
        self._settle(now)
        return self._commands

    def _why_never(self, claim: Claim) -> str:
        fitting = [gpu for gpu, total in self.gpus.items() if self.need(claim, gpu) <= total]
        if len(fitting) >= claim.count:
            return ""
        if len(self.gpus) < claim.count:
            return f"It needs {claim.count} GPUs and this machine has {len(self.gpus)}."
        return f"It needs {claim.memory} bytes on each GPU, more than those here have."

    def _measured(self, instance: str, used: int, reserved: int) -> None:
        holder = self.holders.get(instance)
        if holder is None or not holder.gpus:
            return
        function = holder.claim.function
        if function in self._needs:
            need, beside = self._needs[function]
            need = max(need, beside + reserved) if reserved else need
        else:  # it had its GPUs for itself
            need, beside = used, max(0, used - reserved)
        self._needs[function] = need, beside
        holder.memory = {gpu: self.need(holder.claim, gpu) for gpu in holder.gpus}

    def _settle(self, now: float) -> None:
        taken: set[str] = set()
        waiting = {name: each for name, each in self.holders.items() if not each.gpus}
        wake = float("inf")
        for name, holder in waiting.items():
            if holder.urgent and not self._grant(name, holder, taken):
                taken |= self._make_room(holder, taken, now)
                wake = min(wake, max(holder.since + PATIENCE, now))
        for name, holder in waiting.items():
            if not holder.urgent:
                self._grant(name, holder, taken)
        if now < wake < float("inf"):
            self._commands.append(WakeAt(wake))

    def _grant(self, name: str, holder: Holder, taken: Collection[str]) -> bool:
        """Give an instance GPUs that have room for it, if there are as many."""
        claim = holder.claim
        having = [
            gpu for gpu in self.gpus if gpu not in taken and self.free(gpu) >= self.need(claim, gpu)
        ]
        having.sort(key=lambda gpu: (not self._is_home(gpu, claim), -self.free(gpu)))
        if len(having) < claim.count:
            return False
        holder.gpus = tuple(sorted(having[: claim.count]))
        holder.memory = {gpu: self.need(claim, gpu) for gpu in holder.gpus}
        holder.used = next(self._uses)
        self._homes[claim.function] = holder.gpus
        self._commands.append(Granted(name, holder.gpus))
        return True

    def _is_home(self, gpu: str, claim: Claim) -> bool:
        return gpu in self._homes.get(claim.function, ())

    def _make_room(self, holder: Holder, taken: Collection[str], now: float) -> set[str]:
        """Have others go for an instance that waits; gives the GPUs that nobody later may have."""
        claim = holder.claim
        fitting = [gpu for gpu, total in self.gpus.items() if self.need(claim, gpu) <= total]
        plans = {gpu: self._plan(claim, gpu) for gpu in fitting if gpu not in taken}

        def cost(gpu: str) -> tuple[bool, bool, bool, int]:
            plan = plans[gpu]
            busy = any(not self.holders[name].idle for name in plan)
            latest = max((self.holders[name].used for name in plan), default=0)
            return busy, bool(plan), not self._is_home(gpu, claim), latest

        chosen = sorted(plans, key=cost)[: claim.count]
        may_ask = now >= holder.since + PATIENCE
        for gpu in chosen:
            plan = plans[gpu]
            if may_ask or all(self.holders[name].idle for name in plan):
                for name in plan:
                    if not self.holders[name].leaving:
                        self.holders[name].leaving = True
                        self._commands.append(Evict(name))
        return set(chosen)

    def _plan(self, claim: Claim, gpu: str) -> list[str]:
        """Who has to go from a GPU for a claim: idle ones first, then who was used longest ago."""
        on_it = {name: each for name, each in self.holders.items() if gpu in each.memory}
        room = self.free(gpu) + sum(each.memory[gpu] for each in on_it.values() if each.leaving)
        staying = [name for name, each in on_it.items() if not each.leaving]
        staying.sort(key=lambda name: (not on_it[name].idle, on_it[name].used))
        plan = []
        while room < self.need(claim, gpu) and staying:
            name = staying.pop(0)
            room += on_it[name].memory[gpu]
            plan.append(name)
        return plan
