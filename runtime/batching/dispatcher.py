"""The asyncio shell of the batcher: futures, timers and the call itself."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from bentofn.runtime.batching import payload
from bentofn.runtime.batching.core import Batcher, Command, Dispatch, Expire, Slice, WakeAt
from bentofn.runtime.errors import ServiceUnavailable


class BatchTimeout(ServiceUnavailable):
    """A request waited longer than max_latency for its batch: 503."""


@dataclass(frozen=True)
class BatchResult:
    """A request's own part of the answer, and the number of items in the batch that gave it.

    For a request that was split over batches that is the largest of them.
    """

    value: Any
    batch_size: int


@dataclass
class _Request:
    value: Any
    size: int
    answer: asyncio.Future[BatchResult]
    parts: dict[int, Any] = field(default_factory=dict)
    answered: int = 0
    batch_size: int = 0

    def add(self, piece: Slice, value: Any, batch_size: int, axis: int) -> None:
        """Take the answer to one slice; the last one completes the request."""
        self.parts[piece.start] = value
        self.answered += piece.stop - piece.start
        self.batch_size = max(self.batch_size, batch_size)
        if self.answered < self.size or self.answer.done():
            return
        ordered = [self.parts[start] for start in sorted(self.parts)]
        try:
            self.answer.set_result(BatchResult(payload.join(ordered, axis), self.batch_size))
        except Exception as error:  # the answers of the parts differ in shape or type
            self.fail(error)

    def fail(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class BatchDispatcher:
    """Answers single requests by calling ``call`` with batches of them.

    Args:
        call: answers a joined batch; its result holds one item for each, in order. It runs in the
            context (``contextvars``) of the code that made the dispatcher, not of any one request.
        max_batch_size: items of a batch at most; a larger request is split and rejoined.
        max_latency: seconds that a request may wait before it fails with BatchTimeout.
        batch_dim: the axis along which arrays are joined, and that along which answers are split.
        max_in_flight: batches that run at the same time at most.
        clock: seconds, never going backwards.
        on_batch: told of each batch that ended, its items and the seconds it ran.
    """

    def __init__(
        self,
        call: Callable[[Any], Awaitable[Any]],
        *,
        max_batch_size: int,
        max_latency: float,
        batch_dim: tuple[int, int] = (0, 0),
        max_in_flight: int = 1,
        clock: Callable[[], float] = time.monotonic,
        on_batch: Callable[[int, float], None] | None = None,
    ) -> None:
        self._call = call
        self._axis_in, self._axis_out = batch_dim
        self._clock = clock
        self._on_batch = on_batch
        self._batcher = Batcher(max_batch_size, max_latency, max_in_flight)
        self._max_latency = max_latency
        self._context = contextvars.copy_context()
        self._ids = count()
        self._requests: dict[int, _Request] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.Handle | None = None
        self._closed = False

    async def submit(self, value: Any) -> BatchResult:
        """Answer one request; cancelling the call takes it out of the queue.

        Raises BatchTimeout if it waited too long, ServiceUnavailable once closed, InvalidArgument
        or NotBatchable if the value cannot be batched, BatchLengthMismatch if the answer has
        another length than the batch, and whatever ``call`` raised for the batch.
        """
        if self._closed:
            raise ServiceUnavailable("The service is stopping.")
        size = payload.size(value, self._axis_in)
        kind = payload.kind(value, self._axis_in)
        request = _Request(value, size, asyncio.get_running_loop().create_future())
        request_id = next(self._ids)
        self._requests[request_id] = request
        try:
            self._carry_out(self._batcher.submit(request_id, size, self._clock(), kind))
            return await request.answer
        finally:
            del self._requests[request_id]
            self._batcher.cancel(request_id)

    async def close(self) -> None:
        """Refuse new requests, reject those that wait and wait for those that run."""
        self._closed = True
        for request_id in self._batcher.drain():
            self._requests[request_id].fail(ServiceUnavailable("The service is stopping."))
        while self._tasks or not self._batcher.idle:
            # Between two batches of a split request no task runs, only the next turn's wake.
            await (asyncio.wait(self._tasks) if self._tasks else asyncio.sleep(0))
        self._stop_timer()

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            if isinstance(command, WakeAt):
                self._wake_at(command.time)
            elif isinstance(command, Expire):
                self._requests[command.request_id].fail(
                    BatchTimeout(f"No batch was free within {self._max_latency * 1000:g} ms.")
                )
            else:
                self._start(command)

    def _wake_at(self, when: float) -> None:
        # Also at once means the next turn of the loop: requests of this turn share the batch, and
        # the answers of the last batch leave before a callee that blocks the loop starts the next.
        self._stop_timer()
        loop = asyncio.get_running_loop()
        delay = when - self._clock()
        if delay <= 0:
            self._timer = loop.call_soon(self._wake, context=self._context)
        else:
            self._timer = loop.call_later(delay, self._wake, context=self._context)

    def _wake(self) -> None:
        self._stop_timer()
        self._carry_out(self._batcher.wake(self._clock()))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, command: Dispatch) -> None:
        members = [(piece, self._requests[piece.request_id]) for piece in command.batch]
        task = asyncio.get_running_loop().create_task(self._run(members))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, members: list[tuple[Slice, _Request]]) -> None:
        items = sum(piece.stop - piece.start for piece, _ in members)
        started = self._clock()
        try:
            parts = await self._answer(members)
        except Exception as error:
            _fail_all([request for _, request in members], error)
        except BaseException:
            _fail_all([request for _, request in members], ServiceUnavailable("Batch cancelled."))
            raise
        else:
            for (piece, request), part in zip(members, parts, strict=True):
                request.add(piece, part, items, self._axis_out)
        finally:
            ended = self._clock()
            self._carry_out(self._batcher.finished(ended))
        if self._on_batch is not None:
            self._on_batch(items, ended - started)

    async def _answer(self, members: list[tuple[Slice, _Request]]) -> list[Any]:
        values = [
            request.value
            if piece.stop - piece.start == request.size
            else payload.take(request.value, piece.start, piece.stop, self._axis_in)
            for piece, request in members
        ]
        answer = await self._call(payload.join(values, self._axis_in))
        return payload.split(
            answer, [piece.stop - piece.start for piece, _ in members], self._axis_out
        )


def _fail_all(requests: list[_Request], error: Exception) -> None:
    # Each waiter raises its error, which adds frames to the traceback: a shared one would show
    # every member's frames in each member's report. A waiter's own copy is made before that.
    for request, own in [(requests[0], error), *((each, _copy(error)) for each in requests[1:])]:
        request.fail(own)


def _copy(error: Exception) -> Exception:
    """A copy of an exception, or itself where its class cannot be copied faithfully."""
    try:
        twin = copy.copy(error)
        if type(twin) is not type(error) or twin.args != error.args:
            return error
    except Exception:
        return error
    twin.__cause__, twin.__context__ = error.__cause__, error.__context__
    twin.__suppress_context__ = error.__suppress_context__
    return twin.with_traceback(error.__traceback__)
