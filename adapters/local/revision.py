"""One version of a function: its pool's decisions carried out with engines, sockets and time."""

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
from bentofn.adapters.local.core.pool import Pool
from bentofn.adapters.local.core.profile import Profile
from bentofn.adapters.local.engines import Instance
from bentofn.adapters.local.engines.shared import Shared
from bentofn.adapters.local.environment import MACHINE_LIMIT, thread_count
from bentofn.adapters.local.isolation.policy import Isolation
from bentofn.adapters.local.journal.lives import Lives
from bentofn.adapters.local.journal.record import NO_HEADERS, Record
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.launcher import PROFILE as LAMBDA
from bentofn.adapters.local.lambda_.launcher import LambdaLauncher
from bentofn.adapters.local.launcher import Launcher
from bentofn.adapters.local.logs import LogWriter
from bentofn.adapters.local.reasons import how_it_ended, why_not_started
from bentofn.adapters.local.services import Services
from bentofn.adapters.local.stats import Stats
from bentofn.adapters.local.tickets import Assignment, Refused, Ticket
from bentofn.adapters.local.upstream import Upstream
from bentofn.adapters.protocol import FunctionSpec, InstanceStatus
from bentofn.runtime.errors import UserError


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
            self.launcher = Launcher(spec, bento, timeout, sockets, isolation, log, shared)
        contract = bento.manifest.contract
        rules = profile.pool_rules(spec.settings, contract, MACHINE_LIMIT)
        prefix = contract.path_prefix
        self.task_routes = frozenset(prefix + api.route for api in contract.apis if api.is_task)
        """Paths of the service's tasks."""
        self.room = max(1, rules.concurrency * rules.max_instances)
        """Requests that its instances take at a time, all together."""
        self._isolation = isolation
        self._pool = Pool(rules, f"{label}v{version}-{os.urandom(2).hex()}-")
        self._grace = profile.timeouts.stop_grace
        self._threads = thread_count(spec, bento)
        self._log = log
        self._stats = stats
        self._bill = Bill(profile, spec, shared.journal)
        stats.bills.append(self._bill)
        self._loop = asyncio.get_running_loop()
        self._clock = shared.clock
        self._tickets: dict[int, Ticket] = {}
        self._arrived = 0
        self._instances: dict[str, Instance] = {}
        self._upstreams: dict[str, Upstream] = {}
        self._journal = shared.journal
        self._faults = shared.faults.of(spec.name) if shared.faults is not None else None
        self._told = Lives(shared.journal, spec.name)
        self._kinds: dict[str, str] = {}
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._stops: set[asyncio.Task[None]] = set()
        self._timer: Timer | None = None
        self._empty = asyncio.Event()
        self._answered = False
        self._first_start: asyncio.Future[None] | None = None

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
        self._told.released(number)

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
            self._first_start = self._loop.create_future()
            self._feed(InstanceWanted())
            await self._first_start

    async def recycle(self) -> None:
        """Stop the instances that serve, as a backend does that takes its machines back."""
        ending = [self._lives[name] for name in self._instances]
        for name in list(self._instances):
            self.lost(name)
        if ending:
            await asyncio.wait(ending)
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
        await asyncio.gather(*(i.stop(0.0) for i in list(self._instances.values())))
        # Not gather: this may be called off, and the lives must be lived to their end.
        if ending := [*self._lives.values(), *self._stops]:
            await asyncio.wait(ending)
        if self._timer is not None:
            self._timer.cancel()
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
        own = tuple(
            InstanceStatus(
                id=instance.id,
                state=instance.state,
                start=self._kinds.get(instance.id, self.launcher.next_kind),
                in_flight=len(instance.in_flight),
                pid=self._instances[instance.id].pid if instance.id in self._instances else None,
            )
            for instance in self._pool.instances.values()
        )
        return (*own, *others)

    def _feed(self, event: Event) -> None:
        now = self._clock.monotonic()
        commands = self._pool.handle(event, now)
        self._bill.take(event, commands, now)
        for command in commands:
            self._obey(command)
        if self._pool.empty:
            self._empty.set()

    def _tick(self) -> None:
        self._feed(Tick())

    def _obey(self, command: Command) -> None:
        match command:
            case StartInstance(name):
                self._told.starting(name, self.launcher.next_kind)
                self._lives[name] = self._loop.create_task(self._live(name))
            case StopInstance(name, keep):
                self._told.ending(name, "parking" if keep else "stopping")
                self._stop(name, keep=keep)
            case Dispatch(request, name, started):
                kind = self._kinds[name] if started else "warm"
                ticket = self._tickets[request]
                if not ticket.assigned.done():
                    instance = self._instances[name]
                    environment = instance if isinstance(instance, LambdaEnvironment) else None
                    upstream = self._upstreams[name]
                    assignment = Assignment(name, kind, upstream, environment)
                    if self._faults is not None:
                        assignment = self._faults.spoil(assignment)
                    ticket.assigned.set_result(assignment)
                self._told.assigned(request, name)
                if ticket.record is not None:
                    ticket.record.assigned(name, kind)
            case Refuse(request, status, reason, overflow):
                rule = self._pool.rules.overflow if overflow else None
                self._refuse(request, Refused(status, reason, rule))
            case WakeAt(time):
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._clock.call_at(time, self._tick)

    def _refuse(self, request: int, refusal: Refused) -> None:
        ticket = self._tickets[request]
        if not ticket.assigned.done():
            self._stats.refused += 1
            ticket.assigned.set_exception(refusal)
        elif not ticket.interrupted.done():
            ticket.interrupted.set_result(refusal)

    def _stop(self, name: str, *, keep: bool = False) -> None:
        instance = self._instances.get(name)
        if instance is None:
            self._lives[name].cancel()
            return
        task = self._loop.create_task(self.launcher.stop(instance, self._grace, keep=keep))
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    async def _live(self, name: str) -> None:
        """An instance's life, from its start to its end."""
        began = self._loop.time()
        try:
            if self._faults is not None:
                await self._faults.hold_start(self._clock)
            instance, kind = await self.launcher.launch(name, self._threads)
        except (Exception, asyncio.CancelledError) as error:
            # Whatever it is: the pool waits for an answer, and requests wait for the pool.
            del self._lives[name]
            self._failed(name, error)
            return
        self._instances[name] = instance
        self._kinds[name] = kind
        self._upstreams[name] = Upstream(instance.socket_path)
        milliseconds = (self._loop.time() - began) * 1000
        self._stats.starts[kind] += 1
        self._stats.last_start_ms = round(milliseconds, 1)
        self._stats.last_failure = ""
        self._log.write(name, "platform", f"ready, {kind}, after {milliseconds:.0f} ms")
        trouble = instance.trouble if isinstance(instance, LambdaEnvironment) else ""
        self._report_first(UserError(trouble) if trouble else None)
        self._told.ready(name, kind, milliseconds / 1000)
        self._feed(InstanceReady(name, self.launcher.keeps(instance), kind))
        if self._pool.instances[name].state == "stopping":
            self._told.ending(name, "stopping")
            self._stop(name)  # told to while it started, too late to call the start off
        status = await instance.wait()
        reason = how_it_ended(status, instance.verdict)
        answer = self.profile.limits.memory_status if instance.verdict else 502
        self._log.write(name, "platform", reason)
        del self._lives[name], self._instances[name]
        self._told.gone(name, reason)
        told = f"The instance that had the request ended: {reason}."
        self._feed(InstanceExited(name, told, answer))
        await self._upstreams.pop(name).close()
        del self._kinds[name]

    def _failed(self, name: str, error: BaseException) -> None:
        reason = why_not_started(error)
        if not isinstance(error, asyncio.CancelledError):
            self._stats.last_failure = reason
        self._log.write(name, "platform", f"did not start: {reason}")
        self._told.gone(name, reason)
        self._report_first(UserError(reason))
        self._feed(InstanceFailed(name, reason))

    def _report_first(self, error: UserError | None) -> None:
        first = self._first_start
        if first is not None and not first.done():
            if error is None:
                first.set_result(None)
            else:
                first.set_exception(error)
