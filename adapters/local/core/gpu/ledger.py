"""The books of a machine's GPUs.

An instance waits until there is room for what its kind was seen to need; the first one, of which
that is seen when it goes, has a GPU for itself. Where there is no room the instances that are idle
make it, the one that was used longest ago first; those that are busy finish what they have, and are
asked to go only when they have served, and somebody has waited, for a while, and none for another
of its own kind, which would serve the same requests. Who waits with requests is served in order of
arrival: nobody who came later gets a GPU that an earlier one waits for.

A ledger decides and does nothing itself, as :class:`~bentofn.adapters.local.core.pool.Pool`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bentofn.adapters.local.core.gpu.messages import (
    Claim,
    Command,
    Event,
    Evict,
    Forgotten,
    Gone,
    Granted,
    Impossible,
    Seen,
    Tick,
    Waits,
    WakeAt,
    Wanted,
)

PATIENCE = 2.0
"""Seconds that somebody waits for GPUs on which all are busy before those are asked to go, and that
each of these serves at least: to take its place takes seconds too."""

TOLD_AFTER = 10.0
"""Seconds that somebody waits before it is said for whom: long enough for most requests."""


@dataclass
class Holder:
    """An instance that has GPUs, or waits for them.

    Args:
        claim: What it needs.
        since: When it began to wait, with requests if there are any.
        urgent: Whether others make room for it.
        gpus: Those that it has; none while it waits.
        memory: Bytes that it has, or may come to have, on each.
        idle: Whether it serves and has no request.
        serves: Whether it takes or answers requests.
        serves_since: When that began; None before.
        leaving: Whether it was told to go, or goes by itself.
        used: When it was used last, among all.
        told: Whether it was said for whom it waits.
    """

    claim: Claim
    since: float
    urgent: bool
    gpus: tuple[str, ...] = ()
    memory: Mapping[str, int] = field(default_factory=dict)
    idle: bool = False
    serves: bool = False
    serves_since: float | None = None
    leaving: bool = False
    used: int = 0
    told: bool = False


class Ledger:
    """The books of a machine's GPUs.

    Args:
        gpus: Bytes of memory of each.
    """

    def __init__(self, gpus: Mapping[str, int]) -> None:
        self.gpus = dict(gpus)
        self.holders: dict[str, Holder] = {}
        """Those that wait too, in the order in which they have their turns."""
        self._needs: dict[str, tuple[int, int]] = {}
        """Kind to what its instances need on a GPU, and what of that is not their framework's."""
        self._homes: dict[str, tuple[str, ...]] = {}
        """Kind to the GPUs that its latest instance had: what is kept of it fits there only."""
        self._uses = itertools.count(1)
        self._commands: list[Command] = []

    def free(self, gpu: str) -> int:
        """Bytes of a GPU that nobody has."""
        return self.gpus[gpu] - sum(each.memory.get(gpu, 0) for each in self.holders.values())

    def need(self, claim: Claim, gpu: str) -> int:
        """Bytes that an instance is to have on a GPU: all of one where nobody knows."""
        if claim.memory is not None:
            return claim.memory
        total = self.gpus[gpu]
        return min(self._needs[claim.kind][0], total) if self.is_known(claim) else total

    def is_known(self, claim: Claim) -> bool:
        """Whether it is known what an instance needs, so that it has no GPU for itself."""
        return claim.memory is not None or claim.kind in self._needs

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
            case Seen(instance, idle, urgent, serves):
                self._seen(instance, idle, urgent, serves, now)
            case Gone(instance, used, reserved):
                holder = self.holders.pop(instance, None)
                if holder is not None and holder.gpus and used is not None:
                    self._learn(holder.claim, used, reserved)
            case Forgotten(kind):
                self._needs.pop(kind, None)
                self._homes.pop(kind, None)
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

    def _seen(self, instance: str, idle: bool, urgent: bool, serves: bool, now: float) -> None:
        holder = self.holders.get(instance)
        if holder is None:
            return
        if holder.idle != idle:
            holder.used = next(self._uses)
        if urgent and not holder.urgent:
            holder.since = now
        holder.idle, holder.urgent = idle, urgent
        if holder.gpus:
            holder.serves = serves
            if serves and holder.serves_since is None:
                holder.serves_since = now
            if not serves and holder.serves_since is not None:
                holder.leaving = True

    def _learn(self, claim: Claim, used: int, reserved: int) -> None:
        if claim.memory is not None:
            return
        if claim.kind in self._needs:
            need, beside = self._needs[claim.kind]
            need = max(need, beside + reserved) if reserved else need
        else:  # it had its GPUs for itself
            need, beside = used, max(0, used - reserved)
        self._needs[claim.kind] = need, beside

    def _settle(self, now: float) -> None:
        taken: set[str] = set()
        waiting = {name: each for name, each in self.holders.items() if not each.gpus}
        wake = float("inf")
        for name, holder in waiting.items():
            if holder.urgent and not self._grant(name, holder, taken):
                room = self._find_room(holder.claim, taken)
                taken |= room.keys()
                wake = min(wake, self._make_room(name, room, now))
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
        self._homes[claim.kind] = holder.gpus
        self._commands.append(Granted(name, holder.gpus))
        return True

    def _is_home(self, gpu: str, claim: Claim) -> bool:
        return gpu in self._homes.get(claim.kind, ())

    def _find_room(self, claim: Claim, taken: Collection[str]) -> dict[str, list[str]]:
        """The GPUs that nobody later may have, each with those who have to go from it for a claim:
        where they are idle if there are such, and were used longest ago.

        None where others of the claim's own kind leave too few: what waits for these keeps nobody
        else from a GPU."""
        fitting = [gpu for gpu, total in self.gpus.items() if self.need(claim, gpu) <= total]
        plans = {gpu: plan for gpu in fitting if (plan := self._plan(claim, gpu)) is not None}
        if len(plans) < claim.count:
            return {}

        def cost(gpu: str) -> tuple[bool, bool, bool, int]:
            plan = plans[gpu]
            latest = max((self.holders[name].used for name in plan), default=0)
            return bool(self._busy(plan)), bool(plan), not self._is_home(gpu, claim), latest

        open_ = sorted((gpu for gpu in plans if gpu not in taken), key=cost)
        return {gpu: plans[gpu] for gpu in open_[: claim.count]}

    def _make_room(self, name: str, room: Mapping[str, list[str]], now: float) -> float:
        """Have others go for an instance that waits; returns when to look again."""
        holder = self.holders[name]
        times = [holder.since + TOLD_AFTER]
        others: list[str] = []
        for gpu, plan in room.items():
            leaving = [each for each in self._leaving(gpu) if not self._has_served(each)]
            others += self._busy([*plan, *leaving])
            patient_until = max((self._patient_until(holder, each) for each in plan), default=now)
            times.append(patient_until)
            if now < patient_until:
                continue
            for each in plan:
                if not self.holders[each].leaving:
                    self.holders[each].leaving = True
                    self._commands.append(Evict(each))
                    self._queue_anew(self.holders[each].claim.kind, now)
        if others and now >= holder.since + TOLD_AFTER and not holder.told:
            holder.told = True
            self._commands.append(Waits(name, tuple(dict.fromkeys(others))))
        return min((time for time in times if room and now < time), default=float("inf"))

    def _patient_until(self, holder: Holder, other: str) -> float:
        """Until when one that waits lets another be."""
        each = self.holders[other]
        if each.idle:
            return holder.since
        serves_since = float("inf") if each.serves_since is None else each.serves_since
        return max(holder.since, serves_since) + PATIENCE

    def _has_served(self, name: str) -> bool:
        """Whether an instance serves no more: it is about to give up its memory."""
        return self.holders[name].serves_since is not None and not self.holders[name].serves

    def _queue_anew(self, kind: str, now: float) -> None:
        """A kind has had its turn: others of it that wait come after those who wait for that."""
        for name, holder in list(self.holders.items()):
            if holder.claim.kind == kind and not holder.gpus:
                holder.since = now
                self.holders[name] = self.holders.pop(name)

    def _busy(self, names: Collection[str]) -> list[str]:
        return [name for name in names if not self.holders[name].idle]

    def _leaving(self, gpu: str) -> list[str]:
        return [n for n, each in self.holders.items() if gpu in each.memory and each.leaving]

    def _plan(self, claim: Claim, gpu: str) -> list[str] | None:
        """Who has to go from a GPU for a claim: idle ones first, then who was used longest ago;
        None where others of its own kind would have to."""
        on_it = {name: each for name, each in self.holders.items() if gpu in each.memory}
        room = self.free(gpu) + sum(on_it[name].memory[gpu] for name in self._leaving(gpu))
        staying = [
            name
            for name, each in on_it.items()
            if not each.leaving and each.claim.kind != claim.kind
        ]
        staying.sort(key=lambda name: (not on_it[name].idle, on_it[name].used))
        plan = []
        while room < self.need(claim, gpu) and staying:
            name = staying.pop(0)
            room += on_it[name].memory[gpu]
            plan.append(name)
        return plan if room >= self.need(claim, gpu) else None
