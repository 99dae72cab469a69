"""Asynchronous invocations: the queues of :mod:`core.invocations` with a clock, a disk and callees.

An event is on disk before its caller hears that it was taken, and stays there until its record was
delivered; a platform that is started again goes on with it. Each runs at least once.
"""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bentofn.adapters.local.clock import Clock, Timer
from bentofn.adapters.local.core.invocations.queue import (
    Accepted,
    Blocked,
    Command,
    Condition,
    Entry,
    Event,
    Failed,
    Finish,
    Invoke,
    Keep,
    Queue,
    Succeeded,
    Throttled,
    Tick,
    WakeAt,
)
from bentofn.adapters.local.core.invocations.record import Response, letter, record
from bentofn.adapters.local.journal.events import DeadLettered, Invoked, Retried
from bentofn.adapters.local.journal.journal import Journal
from bentofn.adapters.local.lambda_.api import destinations
from bentofn.adapters.local.lambda_.api.errors import LambdaError
from bentofn.adapters.local.lambda_.api.invoker import Invoker
from bentofn.adapters.local.lambda_.api.names import LATEST, Name, arn, parse
from bentofn.adapters.local.lambda_.api.registry import Registry
from bentofn.adapters.local.lambda_.api.store import Message, Parcel, Store
from bentofn.adapters.local.lambda_.invocation import Invocation

AT_ONCE = 64
"""[own] Events of one function that run at a time; Lambda starts with few and adds."""


class Asynchronous:
    """The events of all functions.

    Args:
        invoker: Runs functions.
        registry: The rules, and the database.
        clock: The platform's.
        journal: Told what becomes of events.
        directory: For files of records.
    """

    def __init__(
        self,
        invoker: Invoker,
        registry: Registry,
        clock: Clock,
        journal: Journal,
        directory: Path,
    ) -> None:
        self._invoker = invoker
        self._registry = registry
        self._disk = registry.disk
        self._clock = clock
        self._journal = journal
        self._directory = directory
        self._queues: dict[str, Queue] = {}
        self._timers: dict[str, Timer] = {}
        self._runs: set[asyncio.Task[None]] = set()
        self._writes: set[asyncio.Task[None]] = set()
        self._closed = False

    def waiting(self, function: str) -> int:
        """Events of a function that are not over."""
        queue = self._queues.get(function)
        return len(tuple(queue.entries())) if queue else 0

    def queued(self, function: str) -> int:
        """Those of them that do not run now."""
        queue = self._queues.get(function)
        return queue.waiting if queue else 0

    async def recover(self) -> None:
        """Go on with what a former platform left."""
        if not self._disk.used:
            return
        parcels = await self._disk.call(lambda store: store.parcels())
        for function, entry in await self._disk.call(lambda store: store.waiting()):
            if self._invoker.knows(function):
                self._feed(function, Accepted(entry))
            else:
                await self._disk.call(_forgetting(entry.id))
        for parcel in parcels:
            self._do(self._deliver(parcel), self._writes)

    async def accept(self, name: Name, id: str, message: Message) -> None:
        """Take in an event; it is on disk when this returns.

        Args:
            name: What it is for.
            id: Its request id.
            message: What it carries.

        Raises:
            LambdaError: There is no such function, or the event cannot be kept.
        """
        self._invoker.find(name)
        now = self._clock.now()
        entry = Entry(id, name.qualifier or "", now, now)
        if await self._disk.call(lambda store: store.accept(name.function, entry, message)):
            self._journal.publish(Invoked(now, name.function, id, 0, "accepted"))
            self._feed(name.function, Accepted(entry))

    def forget(self, function: str) -> None:
        """A function is no more, and what waited for it neither."""
        self._queues.pop(function, None)
        if (timer := self._timers.pop(function, None)) is not None:
            timer.cancel()

    def stop(self) -> None:
        """Begin no more; what runs may end."""
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()

    async def close(self) -> None:
        """Leave what still runs to the next platform, and keep all that has ended."""
        self.stop()
        for task in self._runs:
            task.cancel()
        while pending := self._runs | self._writes:
            await asyncio.wait(pending)

    def _feed(self, function: str, event: Event, response: Response | None = None) -> None:
        if self._closed and isinstance(event, Accepted | Tick):
            return  # it is on disk
        queue = self._queues.get(function)
        ended = None if isinstance(event, Accepted | Tick) else event.id
        if ended is not None and (queue is None or not queue.runs(ended)):
            return  # the function was removed meanwhile
        if queue is None:
            queue = Queue(lambda qualifier: self._registry.policy(function, qualifier), AT_ONCE)
            self._queues[function] = queue
        for command in queue.handle(event, self._clock.now()):
            self._obey(function, command, response)
        if queue.empty:
            self.forget(function)

    def _obey(self, function: str, command: Command, response: Response | None) -> None:
        match command:
            case Invoke(entry):
                if not self._closed:
                    self._do(self._invoke(function, entry), self._runs)
            case Keep(entry):
                now = self._clock.now()
                attempt, after = entry.runs + entry.throttles + 1, entry.due - now
                self._journal.publish(Retried(now, function, entry.id, attempt, after))
                self._do(self._disk.call(lambda store: store.keep(entry)), self._writes)
            case Finish(entry, condition):
                finish = self._finish(function, entry, condition, response)
                self._do(finish, self._writes)
            case WakeAt(time):
                if (timer := self._timers.pop(function, None)) is not None:
                    timer.cancel()
                when = self._clock.monotonic() + max(0.0, time - self._clock.now())
                tick = Tick()
                self._timers[function] = self._clock.call_at(
                    when, lambda: self._feed(function, tick)
                )

    def _do(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        async def guarded() -> None:
            with self._clock.working():
                try:
                    await work
                except (LambdaError, OSError) as error:
                    _print(str(error))

        task = asyncio.get_running_loop().create_task(guarded())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _invoke(self, function: str, entry: Entry) -> None:
        event: Event = Throttled(entry.id)
        response = None
        try:
            message = await self._disk.call(lambda store: store.message(entry.id))
            if message is None:
                return  # the function was removed
            ran = await self._invoker.run(
                Name(function, entry.qualifier or None),
                Invocation(
                    request_id=entry.id,
                    event=message.payload,
                    deadline=0.0,
                    client_context=message.client_context,
                    trace_id=message.trace_id,
                    qualifier=entry.qualifier or None,
                ),
                waited_for=False,
            )
            error = ran.result.function_error
            response = Response(ran.version, ran.result.payload, error)
            event = Succeeded(entry.id) if error is None else Failed(entry.id)
        except LambdaError:
            if self._registry.concurrency.reserved(function) == 0:
                event = Blocked(entry.id)
        except Exception as error:  # whatever it is: the queue waits for an answer
            _print(f"{function}: {type(error).__name__}: {error}")
        attempt = entry.runs + entry.throttles + 1
        outcome = type(event).__name__.lower()
        self._journal.publish(Invoked(self._clock.now(), function, entry.id, attempt, outcome))
        self._feed(function, event, response)

    async def _finish(
        self, function: str, entry: Entry, condition: Condition, response: Response | None
    ) -> None:
        message = await self._disk.call(lambda store: store.message(entry.id))
        if message is None:
            return
        parcels = self._parcels(function, entry, condition, message.payload, response)
        if not parcels:
            await self._disk.call(lambda store: store.remove(entry.id))
            return
        await self._disk.call(lambda store: store.finish(entry.id, parcels))
        for parcel in parcels:
            if condition != "Success":
                where = parcel.destination or str(destinations.file_of(self._directory, parcel))
                now = self._clock.now()
                self._journal.publish(DeadLettered(now, function, entry.id, condition, where))
            await self._deliver(parcel)

    def _parcels(
        self,
        function: str,
        entry: Entry,
        condition: Condition,
        payload: bytes,
        response: Response | None,
    ) -> list[Parcel]:
        """What is sent on of an event that is over."""
        policy = self._registry.policy(function, entry.qualifier)
        failed = condition != "Success"
        destination = policy.on_failure if failed else policy.on_success
        letters = self._invoker.dead_letters(function) if failed else None
        parcels = []
        if destination is not None or (failed and letters is None):
            target = arn(function, entry.qualifier or LATEST)
            document = record(entry, condition, target, payload, response, self._clock.now())
            parcels.append(Parcel(entry.id, function, json.dumps(document), destination or ""))
        if letters is not None:
            id = str(uuid.uuid5(uuid.UUID(entry.id), letters))
            document = letter(entry, payload, response, topic=":sns:" in letters)
            parcels.append(Parcel(id, function, json.dumps(document), letters))
        return parcels

    async def _deliver(self, parcel: Parcel) -> None:
        """Take a record to where it goes; to the dead letters where it can go nowhere else."""
        function = destinations.function_of(parcel.destination)
        try:
            if function is None:
                path = destinations.file_of(self._directory, parcel)
                await asyncio.to_thread(destinations.append, path, parcel.record)
            else:
                # The same id for the same record, which is so taken in only once.
                id = str(uuid.uuid5(uuid.UUID(parcel.id), parcel.destination))
                await self.accept(parse(function), id, Message(parcel.record.encode()))
        except LambdaError as error:
            lost = Parcel(parcel.id, parcel.function, parcel.record, "")
            await asyncio.to_thread(
                destinations.append, destinations.file_of(self._directory, lost), parcel.record
            )
            _print(f"{parcel.destination}: {error}")
        await self._disk.call(lambda store: store.remove(parcel.id))


def _forgetting(id: str) -> Callable[[Store], None]:
    return lambda store: store.remove(id)


def _print(line: str) -> None:
    print(f"asynchronous invocations: {line}", file=sys.stderr, flush=True)
