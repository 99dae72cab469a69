"""Any load: who comes when, with what, who leaves, and whatever the callee and the clock do."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bentofn.runtime.batching import BatchDispatcher, BatchTimeout, InFlight
from bentofn.runtime.errors import ServiceUnavailable

TICK = 1e-5
"""Seconds that a turn of the loop takes."""

SLACK = 0.003
"""Seconds that some turns of the loop take, and a timer that rounds."""


NOTICED = 0.05
"""Seconds, at most, until it is watched whether a client leaves."""


class VirtualTime(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer whenever it would wait.

    Args:
        resolution: Seconds that a timer may come early, as uvloop's do.
    """

    def __init__(self, resolution: float = 0.0) -> None:
        super().__init__()
        self.now = 0.0
        self._clock_resolution = resolution
        wait = self._selector.select

        def select(timeout: float | None = None) -> Any:
            assert timeout is not None, "nothing will ever happen"
            assert self.now < 10_000, "something waits for ever"
            early = timeout % resolution if resolution else 0.0
            self.now += max(timeout - early, TICK)
            return wait(0)

        self._selector.select = select

    def time(self) -> float:
        return self.now


@dataclass(frozen=True)
class Client:
    """Who asks.

    Args:
        after: When it comes.
        size: Items of its request.
        width: Columns of its array, by which arrays differ in kind; None for a list.
        patience: Seconds after which its call is cancelled.
        leaves: Seconds after which it is gone, though nothing cancels its call.
        poisonous: Whether every batch fails that holds an item of it.
    """

    after: float
    size: int
    width: int | None
    patience: float
    leaves: float
    poisonous: bool


@dataclass(frozen=True)
class Turn:
    """What one call of the callee does.

    Args:
        seconds: How long it runs.
        blocks: Whether the loop stands still meanwhile.
        ends: How.
    """

    seconds: float
    blocks: bool
    ends: str


LIMIT = 1.0
FOREVER = 1000.0
CLIENTS = st.builds(
    Client,
    after=st.floats(0, 3) | st.sampled_from([0.0, 1.0]),
    size=st.integers(0, 9),
    width=st.sampled_from([None, None, None, 0, 1]),
    patience=st.floats(0, 3) | st.just(FOREVER),
    leaves=st.floats(0, 3) | st.just(FOREVER) | st.just(FOREVER),
    poisonous=st.sampled_from([False, False, False, True]),
)
TURNS = st.builds(
    Turn,
    seconds=st.floats(0, 3) | st.floats(0, 0.01),
    blocks=st.sampled_from([False, False, True]),
    ends=st.sampled_from(["well"] * 6 + ["badly", "short", "cancelled"]),
)


class Left(Exception):  # noqa: N818 - an event
    """The client is gone."""


@dataclass
class Callee:
    """Answers each item with itself, and keeps what became of whom."""

    loop: VirtualTime
    clients: list[Client]
    turns: Any
    ran: Counter[tuple[int, int]] = field(default_factory=Counter)
    together: dict[int, int] = field(default_factory=dict)
    failed_alone: set[int] = field(default_factory=set)
    cancelled: set[int] = field(default_factory=set)
    stalled: float = 0.0

    async def __call__(self, batch: Any, context: int) -> Any:
        assert len(batch) <= 4
        items = [(int(item[0]), int(item[1])) for item in batch]
        self.ran.update(items)
        members = {who for who, _ in items} | {context}
        for who in members:
            self.together.setdefault(who, len(members))
        turn: Turn = next(self.turns)
        if turn.blocks:
            self.loop.now += turn.seconds
            self.stalled += turn.seconds
        else:
            await asyncio.sleep(turn.seconds)
        if turn.ends == "cancelled":
            self.cancelled |= members
            raise asyncio.CancelledError
        poisoned = any(self.clients[who].poisonous for who, _ in items)
        short = turn.ends == "short" and items
        if len(members) == 1 and (poisoned or short or turn.ends == "badly"):
            self.failed_alone |= members
        if poisoned or turn.ends == "badly":
            raise ValueError("no answer")
        return batch[1:] if short else batch


@settings(max_examples=300)
@given(
    clients=st.lists(CLIENTS, max_size=25),
    turns=st.lists(TURNS, min_size=1),
    in_flight=st.sampled_from([(1,), (2,), (4, 16)]),
    closes=st.floats(0, 4) | st.just(FOREVER),
    resolution=st.sampled_from([0.0, 0.001]),
)
def test_everyone_gets_their_own_answer_in_time_or_an_error(
    clients: list[Client],
    turns: list[Turn],
    in_flight: tuple[int, ...],
    closes: float,
    resolution: float,
) -> None:
    loop = VirtualTime(resolution)
    # One that always goes well keeps what is retried from failing for ever.
    callee = Callee(loop, clients, cycle([*turns, Turn(0.0, False, "well")]))

    async def one(batcher: BatchDispatcher, who: int, client: Client) -> None:
        await asyncio.sleep(client.after)
        items: Any = [(who, item) for item in range(client.size)]
        if client.width is not None:
            items = np.array([[*item, *[0] * client.width] for item in items])
            items = items.reshape(client.size, 2 + client.width)
        began, stalled = loop.time(), callee.stalled

        def took() -> float:
            return loop.time() - began - (callee.stalled - stalled)

        async def until_left() -> None:
            await asyncio.sleep(began + client.leaves - loop.time())
            raise Left

        try:
            asked = batcher.submit(items, who, until_left)
            result = await asyncio.wait_for(asked, client.patience)
        except BatchTimeout:
            assert took() <= LIMIT + SLACK
        except asyncio.TimeoutError:
            assert loop.time() - began >= client.patience - resolution
        except Left:
            assert loop.time() - began >= client.leaves - resolution
        except ServiceUnavailable as error:
            stopping = "stopping" in str(error)
            cancelled = who in callee.cancelled or not client.size
            assert loop.time() >= closes - resolution if stopping else cancelled
        except Exception:
            assert who in callee.failed_alone, "it pays for another's request"
        else:
            assert type(result.value) is type(items)
            np.testing.assert_array_equal(result.value, items)
            assert client.width is None or result.value.shape == items.shape
            assert not client.poisonous or not client.size
            # What began by itself may take as long as the method does.
            assert took() <= LIMIT + SLACK or callee.together.get(who, 1) == 1
            assert took() <= client.leaves + NOTICED + SLACK

    async def close(batcher: BatchDispatcher) -> None:
        await asyncio.sleep(closes)
        await batcher.close()

    async def everyone() -> None:
        batcher = BatchDispatcher(
            callee,
            max_batch_size=4,
            max_latency=LIMIT,
            in_flight=InFlight(*in_flight),
            clock=loop.time,
        )
        tasks = [asyncio.ensure_future(one(batcher, *each)) for each in enumerate(clients)]
        await asyncio.gather(close(batcher), *tasks)
        await asyncio.sleep(0)  # in which what was cancelled ends
        assert asyncio.all_tasks() == {asyncio.current_task()}

    try:
        loop.run_until_complete(everyone())
    finally:
        loop.close()
    assert all(times_run <= 2 for times_run in callee.ran.values())


@pytest.mark.parametrize(
    ("seconds", "per_item", "largest", "expected"),
    [(0.15, 0.0, 8, 50), (0.15, 0.0, 100, 200), (0.09, 0.0, 100, 200), (0.02, 0.005, 100, 120)],
)
def test_under_load_the_callee_stays_busy_with_what_can_be_answered_in_time(
    seconds: float, per_item: float, largest: int, expected: float
) -> None:
    """40 clients that ask again at once, for 20 s; ``expected`` answers each second at least."""
    loop = VirtualTime()
    answered = 0

    async def call(batch: list[int], context: Any) -> list[int]:
        await asyncio.sleep(seconds + per_item * len(batch))
        return batch

    async def client(batcher: BatchDispatcher, number: int) -> None:
        nonlocal answered
        while loop.time() < 20:
            try:
                await batcher.submit([number])
                answered += 1
            except BatchTimeout:
                pass
            await asyncio.sleep(0.001 + number / 10_000)

    async def everyone() -> None:
        batcher = BatchDispatcher(call, max_batch_size=largest, max_latency=0.2, clock=loop.time)
        await asyncio.gather(*(client(batcher, number) for number in range(40)))

    try:
        loop.run_until_complete(everyone())
    finally:
        loop.close()
    assert answered / 20 >= expected
