"""One version of a function: its pool's decisions carried out with instances, tickets and time."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from bentofn.adapters.local.bentos import LocalBento
from bentofn.adapters.local.bills import Bill
from bentofn.adapters.local.clock import Timer
from bentofn.adapters.local.core.messages import (
    Command,
    Dispatch,
    Drain,
    Event,
    InstanceLost,
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
from bentofn.adapters.local.core.pool import Pool
from bentofn.adapters.local.core.profile import Profile
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.environment import MACHINE_LIMIT, thread_count
from bentofn.adapters.local.gpu.turns import Pooled
from bentofn.adapters.local.instances import Instances
from bentofn.adapters.local.isolation.policy import Isolation
from bentofn.adapters.local.journal.record import NO_HEADERS, Record
from bentofn.adapters.local.lambda_.launcher import PROFILE as LAMBDA
from bentofn.adapters.local.lambda_.launcher import LambdaLauncher
from bentofn.adapters.local.launcher import Launcher
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.local.services import Services
from bentofn.adapters.local.stats import Stats
from bentofn.adapters.local.tickets import Refused, Ticket
from bentofn.adapters.protocol import FunctionSpec, InstanceStatus
from bentofn.runtime.http.interrupt import Deadlines


class Revision:
    """A version of a function that can be sent requests.

    Args:
        spec: What was applied.
        bento: What it runs.
        version: Its number.
        profile: The rules that it runs by.
        sockets: A directory for its sockets; made when needed.
        isolation: What its instances are held by.
        log: The function's log.
        stats: The function's figures.
        shared: The platform's.
        label: What the names of its instances begin with.
    """

    def __init__(
        self,
        spec: FunctionSpec,
        bento: LocalBento,
        version: int,
        profile: Profile,
        sockets: Path,
        isolation: Isolation,
        log: LogWriter,
        stats: Stats,
        shared: Shared,
        label: str = "",
    ) -> None:
        self.spec = spec
        self.profile = profile
        self.bento = bento
        self.version = version
        self.services: Services | None = None
        """The other services of the bento, where it has any."""
        self.launcher: Launcher | LambdaLauncher
        if profile.name == LAMBDA:
            self.launcher = LambdaLauncher(spec, bento, version, isolation, log, shared)
        else:
            timeout = profile.timeouts.start
            self.launcher = Launcher(
                spec, bento, timeout, sockets, isolation, log, shared,
                Pooled(lambda name: self._feed(InstanceUnwanted(name)), lambda: self._pool.urgent),
            )  # fmt: skip
        contract = bento.manifest.contract
        rules = profile.pool_rules(spec.settings, contract, MACHINE_LIMIT)
        prefix = contract.path_prefix
        self.task_routes = frozenset(prefix + api.route for api in contract.apis if api.is_task)
        """Paths of the service's tasks."""
        self.room = max(1, rules.concurrency * rules.max_instances)
        """Requests that its instances take at a time, all together."""
        self.deadlines = Deadlines(spec.settings.timeout)
        """Of requests that an instance has."""
        self._isolation = isolation
        self._pool = Pool(rules, f"{label}v{version}-{os.urandom(2).hex()}-")
        self._instances = Instances(
            spec.name, self.launcher, thread_count(spec, bento), profile, log, stats, shared,
            self._feed,
        )  # fmt: skip
        self._stats = stats
        self._bill = Bill(profile, spec, shared.journal)
        stats.bills.append(self._bill)
        self._clock = shared.clock
        self._tickets: dict[int, Ticket] = {}
        self._arrived = 0
        self._journal = shared.journal
        self._faults = shared.faults.of(spec.name) if shared.faults is not None else None
        self._timer: Timer | None = None
        self._empty = asyncio.Event()
        self._answered = False

    @property
    def note(self) -> str:
        """What is to be known of how it runs: why it starts slower, or is not limited."""
        return "; ".join(filter(None, (self.launcher.note, self._isolation.cells.note)))

    def open(self) -> None:
        """Start the instances that are kept without requests."""
        if self.services is not None:
            self.services.open()
        self._feed(Tick())

    def submit(self, record: Record | None = None) -> Ticket:
        """Take in a request; it must be given back with :meth:`release`.

        Args:
            record: Told when it waits and who gets it.
        """
        self._arrived += 1
        ticket = Ticket(self._arrived, record)
        self._tickets[ticket.number] = ticket
        if self._faults is not None:
            refusal = self._faults.throttle(self._pool.rules.overflow)
            if refusal is not None:
                self._refuse(ticket.number, refusal)
                return ticket
        self._feed(RequestArrived(ticket.number))
        if record is not None and not ticket.assigned.done():
            record.queued()
        return ticket

    def record(
        self,
        request_id: str,
        method: str,
        path: str,
        size: int,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Record:
        """Tell the journal that a request for this function has arrived."""
        return Record(self._journal, self.spec.name, request_id, method, path, size, headers)

    def release(self, ticket: Ticket, *, cancelled: bool, billed: float | None = None) -> None:
        """A request is over: answered, or its caller has gone.

        Args:
            ticket: The request's.
            cancelled: Whether it was not answered.
            billed: As in :class:`~bentofn.adapters.local.core.messages.RequestFinished`.
        """
        del self._tickets[ticket.number]
        if not (cancelled or self._answered):
            self._answered = True
            self.bento.answered()
        number = ticket.number
        self._feed(RequestCancelled(number) if cancelled else RequestFinished(number, billed))
        self._instances.told.released(number)

    def timed_out(self, ticket: Ticket) -> None:
        """A request was not answered in time: its instance gets no more, and ends with the others'.

        Backends end the environment in which a request ran into its timeout, Lambda at once.
        Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
        """
        self._feed(RequestTimedOut(ticket.number))

    def lost(self, instance: str) -> None:
        """An instance refused a connection: it is dead, and its end is not noticed yet."""
        self._feed(InstanceLost(instance))

    async def verify(self) -> None:
        """Start one instance and wait until it serves.

        Raises:
            UserError: It does not; the sentence is the instance's.
        """
        if self._pool.rules.max_instances > 0:
            first = self._instances.first_start()
            self._feed(InstanceWanted())
            await first

    async def recycle(self) -> None:
        """Stop the instances that serve, as a backend does that takes its machines back."""
        ending = self._instances.serving()
        for name in ending:
            self.lost(name)
        if ending:
            await asyncio.wait(ending.values())
        for service in self.services.functions.values() if self.services is not None else ():
            if service.live is not None:
                await service.live.recycle()

    async def close(self, patience: float) -> None:
        """Drain, then stop what is left.

        Args:
            patience: Seconds for running requests to finish.
        """
        self._empty.clear()
        self._feed(Drain())
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._empty.wait(), patience)
        for ticket in list(self._tickets.values()):
            if not ticket.assigned.done():
                self._refuse(ticket.number, Refused(503, "The function was stopped; try again."))
                self._feed(RequestCancelled(ticket.number))
        await self._instances.close()
        if self._timer is not None:
            self._timer.cancel()
        self.deadlines.close()
        await self.launcher.close()
        if self.services is not None:
            await self.services.close(patience)

    @property
    def queued(self) -> int:
        """Requests that wait for an instance."""
        return self._pool.queued

    def instances(self) -> tuple[InstanceStatus, ...]:
        """What runs now, of the other services of the bento too."""
        others = self.services.instances() if self.services is not None else ()
        pooled = self._pool.instances.values()
        own = tuple(self._instances.status(each, self.version) for each in pooled)
        return (*own, *others)

    def _feed(self, event: Event) -> None:
        now = self._clock.monotonic()
        commands = self._pool.handle(event, now)
        self._bill.take(event, commands, now)
        for command in commands:
            self._obey(command)
        if self._pool.empty:
            self._empty.set()
        turns = self.launcher.turns if isinstance(self.launcher, Launcher) else None
        if turns is not None:
            for name, each in self._pool.instances.items():
                idle = each.state == "ready" and not each.in_flight
                turns.seen(name, idle=idle, serves=each.state in ("ready", "retiring"))

    def _tick(self) -> None:
        self._feed(Tick())

    def _obey(self, command: Command) -> None:
        match command:
            case Dispatch(request, name, started):
                self._assign(request, name, started=started)
            case StartInstance(name):
                self._instances.start(name)
            case StopInstance(name, keep):
                self._instances.stop(name, keep=keep)
            case Refuse(request, status, reason, overflow):
                rule = self._pool.rules.overflow if overflow else None
                self._refuse(request, Refused(status, reason, rule))
            case WakeAt(time):
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._clock.call_at(time, self._tick)

    def _assign(self, request: int, name: str, *, started: bool) -> None:
        ticket = self._tickets[request]
        assignment = self._instances.assignment(name, started=started)
        kind = assignment.start
        if not ticket.assigned.done():
            if self._faults is not None:
                assignment = self._faults.spoil(assignment)
            ticket.assigned.set_result(assignment)
        self._instances.told.assigned(request, name)
        if ticket.record is not None:
            ticket.record.assigned(name, kind)

    def _refuse(self, request: int, refusal: Refused) -> None:
        ticket = self._tickets[request]
        if not ticket.assigned.done():
            self._stats.refused += 1
            ticket.assigned.set_exception(refusal)
        elif not ticket.interrupted.done():
            ticket.interrupted.set_result(refusal)
