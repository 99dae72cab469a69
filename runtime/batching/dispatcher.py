"""The asyncio shell of the batcher: futures, timers and the call itself."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

from bentofn.runtime.batching import payload
from bentofn.runtime.batching.commands import Command, Dispatch, Fail, WakeAt
from bentofn.runtime.batching.core import Batcher
from bentofn.runtime.batching.in_flight import InFlight
from bentofn.runtime.batching.lines import Slice
from bentofn.runtime.batching.lone import Lone
from bentofn.runtime.batching.requests import BatchResult, Request
from bentofn.runtime.errors import ServiceUnavailable

logger = logging.getLogger("bentofn.server")

_PATIENCE = 0.1
"""Seconds, about, that a request is waited for before it is watched whether its client leaves."""


class BatchTimeout(ServiceUnavailable):
    """A request was not, or would not have been, answered within max_latency: 503."""


@dataclass(frozen=True)
class BatchReport:
    """A batch that ended, well or badly.

    Args:
        items: Its items.
        requests: The requests that they are of.
        seconds: How long it ran.
        waits: Seconds that each request of which it held the beginning had waited.
    """

    items: int
    requests: int
    seconds: float
    waits: tuple[float, ...]


class BatchDispatcher:
    """Answers single requests by calling ``call`` with batches of them.

    Args:
        call: Answers a joined batch; its result holds one item for each, in order. It is also given
            the context of the batch's latest request. It runs in the ``contextvars`` of the code
            that made the dispatcher, not of any one request.
        max_batch_size: Items of a batch at most; a larger request is split and rejoined.
        max_latency: Seconds from a request to its answer, after which it fails with BatchTimeout.
        batch_dim: The axis along which arrays are joined, and that along which answers are split.
        in_flight: How many batches may run at the same time; one if left out.
        clock: Seconds, never going backwards.
        on_batch: Told of each batch that ended.
    """

    def __init__(
        self,
        call: Callable[[Any, Any], Awaitable[Any]],
        *,
        max_batch_size: int,
        max_latency: float,
        batch_dim: tuple[int, int] = (0, 0),
        in_flight: InFlight | None = None,
        clock: Callable[[], float] = time.monotonic,
        on_batch: Callable[[BatchReport], None] | None = None,
    ) -> None:
        self._call = call
        self._axis_in, self._axis_out = batch_dim
        self._clock = clock
        self._on_batch = on_batch
        self._batcher = Batcher(max_batch_size, max_latency, in_flight)
        self._max_latency = max_latency
        self._variables = contextvars.copy_context()
        self._ids = count()
        self._requests: dict[int, Request] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lone: Lone | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._closed = False

    async def submit(
        self,
        value: Any,
        context: Any = None,
        until_left: Callable[[], Awaitable[None]] | None = None,
    ) -> BatchResult:
        """Answer one request; cancelling the call takes it out of the queue.

        If a batch fails, each of its requests runs once more by itself, so that one that cannot be
        answered fails alone.

        Args:
            value: The request's items.
            context: What ``call`` is told besides.
            until_left: Raises once nobody waits for the answer any more. It is awaited only if the
                answer takes a while, since that costs a task.

        Raises:
            BatchTimeout: It was not answered in time, or would not have been.
            ServiceUnavailable: The dispatcher is closed.
            InvalidArgument: The value has no such axis.
            NotBatchable: The value is of a type that cannot be joined.
            BatchLengthMismatch: The answer has another length than the request.
            Exception: Whatever ``call`` raised.
        """
        if self._closed:
            raise ServiceUnavailable("The service is stopping.")
        size = payload.size(value, self._axis_in)
        now = self._clock()
        request_id = next(self._ids)
        alone = self._batcher.submit_alone(request_id, size, now)
        if alone is not None:
            lone = Lone(asyncio.current_task(), now, until_left)
            return await self._answer_alone(lone, alone, value, context)
        kind = payload.kind(value, self._axis_in)
        answer: asyncio.Future[BatchResult] = asyncio.get_running_loop().create_future()
        request = Request(value, context, size, now, answer, until_left=until_left)
        self._requests[request_id] = request
        if self._patience is None:
            self._patience = answer.get_loop().call_later(_PATIENCE, self._watch)
        try:
            self._carry_out(self._batcher.submit(request_id, size, now, kind))
            return await answer
        except BaseException:
            self._batcher.cancel(request_id)
            raise
        finally:
            del self._requests[request_id]
            if request.watch is not None:
                request.watch.cancel()

    async def _answer_alone(
        self, lone: Lone, command: Dispatch, value: Any, context: Any
    ) -> BatchResult:
        """Answer a lone client's request: nobody shares the batch, so it needs no other task."""
        (piece,), batch_id, started = command.batch, command.batch_id, lone.arrived
        self._lone = lone
        if self._patience is None:
            self._patience = asyncio.get_running_loop().call_later(_PATIENCE, self._watch)
        try:
            answer = await self._call(value, context)
            (part,) = payload.split(answer, (piece.size,), self._axis_out)
        except BaseException as error:
            self._batcher.cancel(piece.request_id)
            self._alone_ended(self._batcher.failed, piece, batch_id, started, self._clock())
            why = lone.why_ended(error)
            if why is error:
                raise
            raise why from error
        else:
            now = self._clock()
            # After the answer is written: its client is not to wait for what we learn from it.
            asyncio.get_running_loop().call_soon(
                self._alone_ended, self._batcher.finished, piece, batch_id, started, now
            )
        finally:
            self._lone = None
            lone.end()
        return BatchResult(part, piece.size, 0.0, now - started)

    def _alone_ended(
        self,
        ended: Callable[[int, float], list[Command]],
        piece: Slice,
        batch_id: int,
        started: float,
        now: float,
    ) -> None:
        self._carry_out(ended(batch_id, now))
        if self._on_batch is not None:
            self._on_batch(BatchReport(piece.size, 1, now - started, (0.0,)))

    async def close(self) -> None:
        """Refuse new requests, reject those that wait and wait for those that run."""
        self._closed = True
        for request_id in self._batcher.drain():
            self._requests[request_id].fail(ServiceUnavailable("The service is stopping."))
        while self._tasks or self._lone is not None or not self._batcher.idle:
            if self._lone is not None:
                await self._lone.wait()
            # Between two batches of a split request no task runs, only the next turn's wake.
            await (asyncio.wait(self._tasks) if self._tasks else asyncio.sleep(0))
        self._stop_timer()
        if self._patience is not None:
            self._patience.cancel()

    def _carry_out(self, commands: list[Command], error: BaseException | None = None) -> None:
        for command in commands:
            if isinstance(command, WakeAt):
                self._wake_at(command.time)
            elif isinstance(command, Dispatch):
                self._start(command)
            elif isinstance(command, Fail) and error is not None:
                self._requests[command.request_id].fail(error)
            else:
                self._requests[command.request_id].fail(
                    BatchTimeout(f"No batch could answer within {self._max_latency * 1000:g} ms.")
                )

    def _wake_at(self, when: float) -> None:
        if when <= self._clock():
            # The next turn of the loop: requests of this turn share the batch, and the answers of
            # the last batch leave before a callee that blocks the loop starts the next.
            asyncio.get_running_loop().call_soon(self._wake, context=self._variables)
        else:
            self._set_timer(when)

    def _set_timer(self, when: float) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(
            when - self._clock(), self._time_over, when, context=self._variables
        )

    def _time_over(self, when: float) -> None:
        # Loops round: uvloop to milliseconds, so that a timer may come early.
        if self._clock() < when:
            self._set_timer(when)
        else:
            self._wake()

    def _wake(self) -> None:
        self._carry_out(self._batcher.wake(self._clock()))

    def _watch(self) -> None:
        """From time to time: watch the clients of the requests that take long."""
        self._patience = None
        now = self._clock()
        loop = asyncio.get_running_loop()
        for request in self._requests.values():
            if request.watch is None and now - request.arrived >= _PATIENCE / 2:
                request.watch = loop.create_task(request.fail_when_left())
        lone = self._lone
        if lone is not None and lone.watch is None and now - lone.arrived >= _PATIENCE / 2:
            lone.watch = loop.create_task(lone.end_when_left())
        if self._requests or lone is not None:
            self._patience = loop.call_later(_PATIENCE, self._watch)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _start(self, command: Dispatch) -> None:
        members = [(piece, self._requests[piece.request_id]) for piece in command.batch]
        task = asyncio.get_running_loop().create_task(self._run(command.batch_id, members))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, batch_id: int, members: list[tuple[Slice, Request]]) -> None:
        started = self._clock()
        sizes = [stop - start for (_, start, stop), _ in members]
        items = sum(sizes)
        waits = tuple([started - each.arrived for _, each in members if each.begun is None])
        for _, request in members:
            if request.begun is None:
                request.begun = started
        try:
            parts = await self._answer(members, sizes)
        except asyncio.CancelledError:
            for piece, request in members:
                request.fail(ServiceUnavailable("The batch was cancelled."))
                self._batcher.cancel(piece.request_id)
            self._carry_out(self._batcher.failed(batch_id, self._clock()))
            raise
        except BaseException as error:  # a SystemExit would end the loop, and with it the server
            self._failed(batch_id, len(members), error)
        else:
            now = self._clock()
            for size, (piece, request), part in zip(sizes, members, parts, strict=True):
                if size != request.size:
                    request.add(piece, part, items, self._axis_out, now)
                elif not request.answer.done():
                    request.answer.set_result(request.result(part, items, now))
            self._carry_out(self._batcher.finished(batch_id, now))
        if self._on_batch is not None:
            self._on_batch(BatchReport(items, len(members), self._clock() - started, waits))

    def _failed(self, batch_id: int, members: int, error: BaseException) -> None:
        if members > 1:
            logger.warning("A batch of %d requests failed; each is tried alone: %r", members, error)
        self._carry_out(self._batcher.failed(batch_id, self._clock()), error)

    async def _answer(self, members: list[tuple[Slice, Request]], sizes: list[int]) -> list[Any]:
        values = [
            request.value
            if size == request.size
            else payload.take(request.value, piece.start, piece.stop, self._axis_in)
            for size, (piece, request) in zip(sizes, members, strict=True)
        ]
        latest = members[-1][1].context
        answer = await self._call(payload.join(values, self._axis_in), latest)
        return payload.split(answer, sizes, self._axis_out)
