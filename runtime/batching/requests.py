"""A request that waits for its part of the batches' answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bentofn.runtime.batching import payload
from bentofn.runtime.batching.lines import Slice


class BatchResult(NamedTuple):
    """A request's own part of the answer, and the batch that gave it.

    Args:
        value: The part.
        batch_size: Items of the batch; of the largest where the request was split over several.
        waited: Seconds until a batch with its beginning was started.
        took: Seconds from then until all of it was answered.
    """

    value: Any
    batch_size: int
    waited: float
    took: float


@dataclass(slots=True)
class Request:
    """A request and what of its answer is there.

    Args:
        value: Its items.
        context: What the call is told besides.
        size: The number of its items.
        arrived: When it came, in seconds of the dispatcher's clock.
        answer: What its caller waits for.
        parts: The answered slices, by their first item.
        answered: Items that were answered.
        batch_size: Items of the largest batch that gave one of the parts.
        begun: When a batch with its beginning was started, by the same clock; None if none was.
        until_left: Raises once nobody waits for the answer any more.
        watch: The task that waits for that.
    """

    value: Any
    context: Any
    size: int
    arrived: float
    answer: asyncio.Future[BatchResult]
    parts: dict[int, Any] = field(default_factory=dict)
    answered: int = 0
    batch_size: int = 0
    begun: float | None = None
    until_left: Callable[[], Awaitable[None]] | None = None
    watch: asyncio.Task[None] | None = None

    def add(self, piece: Slice, value: Any, batch_size: int, axis: int, now: float) -> None:
        """Take the answer to one slice; the last one completes the request."""
        if self.answer.done():
            return
        self.parts[piece.start] = value
        self.answered += piece.size
        self.batch_size = max(self.batch_size, batch_size)
        if self.answered == self.size:
            ordered = [self.parts[start] for start in sorted(self.parts)]
            try:
                whole = payload.join(ordered, axis)
            except Exception as error:  # the answers of the parts differ in shape or type
                self.fail(error)
            else:
                self.answer.set_result(self.result(whole, self.batch_size, now))

    def result(self, value: Any, batch_size: int, now: float) -> BatchResult:
        """What its caller gets; ``now`` is when the last batch ended."""
        begun = now if self.begun is None else self.begun
        return BatchResult(value, batch_size, begun - self.arrived, now - begun)

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)

    async def fail_when_left(self) -> None:
        if self.until_left is not None:
            try:
                await self.until_left()
            except Exception as error:
                self.fail(error)
