"""Requests in, batches to the callee, each requester's own answer out."""

from __future__ import annotations

import asyncio
import contextvars
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bentofn.runtime.batching import (
    BatchDispatcher,
    BatchLengthMismatch,
    BatchReport,
    BatchResult,
    BatchTimeout,
)
from bentofn.runtime.errors import BentoMLException, ServiceUnavailable


class Callee:
    """Doubles what it gets; while ``gate`` is closed its calls wait."""

    def __init__(self) -> None:
        self.batches: list[Any] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, batch: Any, context: Any = None) -> Any:
        self.batches.append(batch)
        await self.gate.wait()
        return batch * 2 if isinstance(batch, np.ndarray) else [item * 2 for item in batch]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def dispatcher(call: Callable[[Any], Any], **options: Any) -> BatchDispatcher:
    return BatchDispatcher(call, **{"max_batch_size": 4, "max_latency": 60.0, **options})


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def occupy(batcher: BatchDispatcher, callee: Callee) -> asyncio.Task[BatchResult]:
    """Start one request and hold it in the callee."""
    callee.gate.clear()
    task = asyncio.create_task(batcher.submit(["first"]))
    await turns()
    assert callee.batches == [["first"]]
    return task


async def test_a_lone_request_is_answered_by_itself() -> None:
    callee = Callee()
    assert (await dispatcher(callee).submit([3]))[:2] == ([6], 1)
    assert callee.batches == [[3]]


async def test_requests_of_one_turn_share_a_batch() -> None:
    callee = Callee()
    batcher = dispatcher(callee)
    results = await asyncio.gather(*(batcher.submit([n]) for n in range(6)))
    assert [result.value for result in results] == [[2 * n] for n in range(6)]
    assert [result.batch_size for result in results] == [4, 4, 4, 4, 2, 2]
    assert callee.batches == [[0, 1, 2, 3], [4, 5]]


async def test_requests_that_arrive_during_a_batch_form_the_next() -> None:
    callee = Callee()
    batcher = dispatcher(callee)
    first = await occupy(batcher, callee)
    others = [asyncio.create_task(batcher.submit([n])) for n in (1, 2)]
    await turns()
    callee.gate.set()
    assert (await first).batch_size == 1
    assert [each[:2] for each in await asyncio.gather(*others)] == [([2], 2), ([4], 2)]


async def test_an_answer_says_how_long_it_waited_for_its_batch_and_that_took() -> None:
    callee, clock = Callee(), Clock()
    batcher = dispatcher(callee, clock=clock)
    first = await occupy(batcher, callee)
    clock.now = 1.0
    second = asyncio.create_task(batcher.submit([1, 2, 3, 4, 5]))
    await turns()
    clock.now = 4.0
    callee.gate.set()
    assert (await first)[2:] == (0.0, 4.0)
    assert (await second)[2:] == (3.0, 0.0)


async def test_an_oversize_request_is_split_and_rejoined_in_order() -> None:
    callee = Callee()
    result = await dispatcher(callee).submit(np.arange(10))
    assert [len(batch) for batch in callee.batches] == [4, 4, 2]
    np.testing.assert_array_equal(result.value, np.arange(10) * 2)
    assert result.batch_size == 4


async def test_empty_requests_are_answered() -> None:
    callee = Callee()
    batcher = dispatcher(callee)
    assert (await batcher.submit([]))[:2] == ([], 0)
    alone, beside = await asyncio.gather(batcher.submit([]), batcher.submit([1]))
    assert (alone[:2], beside[:2]) == (([], 1), ([2], 1))


async def test_arrays_of_other_shapes_get_batches_of_their_own() -> None:
    callee = Callee()
    batcher = dispatcher(callee)
    shapes = [(1, 2), (1, 2), (1, 3), (1, 2)]
    results = await asyncio.gather(*(batcher.submit(np.ones(shape)) for shape in shapes))
    assert [batch.shape for batch in callee.batches] == [(3, 2), (1, 3)]
    assert [result.value.shape for result in results] == shapes


async def test_a_request_that_waits_too_long_is_refused_and_the_running_one_is_not() -> None:
    callee, clock = Callee(), Clock()
    batcher = dispatcher(callee, clock=clock, max_latency=0.25)
    first = await occupy(batcher, callee)
    late = asyncio.create_task(batcher.submit(["late"]))
    await turns()
    clock.now = 10.0
    callee.gate.set()
    with pytest.raises(BatchTimeout, match="within 250 ms") as raised:
        await late
    assert raised.value.error_code == 503
    assert (await first).value == ["firstfirst"]
    assert callee.batches == [["first"]]


async def test_a_request_is_refused_while_the_batch_before_it_still_runs() -> None:
    callee = Callee()
    batcher = dispatcher(callee, max_latency=0.01)
    first = await occupy(batcher, callee)
    with pytest.raises(BatchTimeout):
        await batcher.submit(["late"])
    callee.gate.set()
    await first


async def test_a_client_that_leaves_takes_its_request_out_of_the_queue() -> None:
    callee = Callee()
    batcher = dispatcher(callee)
    first = await occupy(batcher, callee)
    gone, stays = (asyncio.create_task(batcher.submit([n])) for n in (1, 2))
    await turns()
    gone.cancel()
    await turns()
    callee.gate.set()
    assert (await stays)[:2] == ([4], 1)
    assert gone.cancelled()
    await first
    assert callee.batches == [["first"], [2]]


async def test_a_client_that_leaves_during_the_batch_disturbs_no_other() -> None:
    callee = Callee()
    callee.gate.clear()
    batcher = dispatcher(callee)
    gone, stays = (asyncio.create_task(batcher.submit([n])) for n in (1, 2))
    await turns()
    gone.cancel()
    await turns()
    callee.gate.set()
    assert (await stays)[:2] == ([4], 2)
    assert (await batcher.submit([5]))[:2] == ([10], 1)


class Custom(BentoMLException):
    """Cannot be rebuilt from its args."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")


@pytest.mark.parametrize("error", [ValueError("no"), Custom(4, "no"), StopIteration()])
async def test_every_member_of_a_batch_gets_the_error_and_the_next_batch_runs(
    error: Exception,
) -> None:
    failing = True

    def call(batch: list[int], context: Any) -> Any:
        if failing:
            raise error
        return asyncio.sleep(0, batch)

    batcher = dispatcher(call)
    found = await asyncio.gather(*(batcher.submit([n]) for n in range(3)), return_exceptions=True)
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)
    assert [type(each) for each in found] == [expected] * 3
    failing = False
    assert (await batcher.submit([1]))[:2] == ([1], 1)


async def test_members_do_not_share_an_errors_traceback() -> None:
    async def call(batch: Any, context: Any) -> Any:
        raise BentoMLException("broken", error_code=418)

    async def client(batcher: BatchDispatcher) -> tuple[BaseException, str]:
        try:
            await batcher.submit([1])
        except BentoMLException as error:
            return error, "".join(traceback.format_exception(error))
        raise AssertionError("no error")

    batcher = dispatcher(call)
    reports = await asyncio.gather(*(client(batcher) for _ in range(3)))
    assert len({id(error) for error, _ in reports}) == 3
    for error, report in reports:
        assert isinstance(error, BentoMLException)
        assert error.error_code == 418
        assert report.count("in client") == 1
        assert report.count("in call") == 1


async def test_an_answer_of_another_length_is_nobodys() -> None:
    async def call(batch: list[int], context: Any) -> list[int]:
        return batch[1:]

    batcher = dispatcher(call)
    found = await asyncio.gather(*(batcher.submit([n]) for n in (1, 2)), return_exceptions=True)
    assert all(isinstance(each, BatchLengthMismatch) for each in found)


async def test_answers_of_a_split_request_that_do_not_fit_together_fail_it() -> None:
    async def call(batch: list[int], context: Any) -> Any:
        return np.zeros((len(batch), len(batch)))

    with pytest.raises(ValueError, match="must match exactly"):
        await dispatcher(call).submit([0] * 6)


async def test_close_rejects_what_waits_and_waits_for_what_runs() -> None:
    callee = Callee()
    batcher = dispatcher(callee)
    callee.gate.clear()
    running = asyncio.create_task(batcher.submit(list(range(6))))
    await turns()
    waiting = asyncio.create_task(batcher.submit([9]))
    await turns()
    closing = asyncio.create_task(batcher.close())
    with pytest.raises(ServiceUnavailable, match="stopping"):
        await waiting
    assert not closing.done()
    callee.gate.set()
    await closing
    assert (await running).value == [0, 2, 4, 6, 8, 10]
    with pytest.raises(ServiceUnavailable):
        await batcher.submit([1])
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_close_waits_for_a_lone_call_and_not_for_what_its_caller_does_next() -> None:
    callee = Callee()
    batcher = dispatcher(callee)
    await batcher.submit([1])
    await turns()
    callee.gate.clear()
    answered, left = asyncio.Event(), asyncio.Event()

    async def caller() -> None:
        assert (await batcher.submit([2])).value == [4]
        answered.set()
        await left.wait()

    calling = asyncio.create_task(caller())
    await turns()
    assert callee.batches == [[1], [2]]
    closing = asyncio.create_task(batcher.close())
    await turns()
    assert not closing.done()
    callee.gate.set()
    await answered.wait()
    await asyncio.wait_for(closing, 30)
    left.set()
    await calling


async def test_a_cancelled_call_leaves_nobody_waiting() -> None:
    async def call(batch: Any, context: Any) -> Any:
        raise asyncio.CancelledError

    with pytest.raises(ServiceUnavailable):
        await dispatcher(call).submit([1])


async def test_the_callee_sees_no_single_requests_context() -> None:
    who = contextvars.ContextVar("who", default="nobody")

    async def call(batch: list[int], context: Any) -> list[str]:
        return [who.get()] * len(batch)

    batcher = dispatcher(call)
    who.set("somebody")
    assert (await batcher.submit([1])).value == ["nobody"]


async def test_batches_are_reported_with_their_items_and_seconds() -> None:
    seen: list[BatchReport] = []
    callee, clock = Callee(), Clock()
    batcher = dispatcher(callee, clock=clock, on_batch=seen.append)
    first = await occupy(batcher, callee)
    others = [asyncio.create_task(batcher.submit([n, n])) for n in (1, 2)]
    await turns()
    clock.now = 2.5
    callee.gate.set()
    await asyncio.gather(first, *others)
    await batcher.close()
    assert seen == [BatchReport(1, 1, 2.5, (0.0,)), BatchReport(4, 2, 0.0, (2.5, 2.5))]


async def test_a_poisonous_request_fails_alone_and_its_neighbours_are_tried_once_more() -> None:
    batches: list[list[int]] = []

    async def call(batch: list[int], context: Any) -> list[int]:
        batches.append(batch)
        if 2 in batch:
            raise BentoMLException("not two", error_code=422)
        return [item * 2 for item in batch]

    batcher = dispatcher(call)
    found = await asyncio.gather(*(batcher.submit([n]) for n in range(4)), return_exceptions=True)
    assert [each.value for each in found if isinstance(each, BatchResult)] == [[0], [2], [6]]
    assert isinstance(found[2], BentoMLException)
    assert found[2].error_code == 422
    assert batches == [[0, 1, 2, 3], [0], [1], [2], [3]]


async def test_a_batch_that_runs_too_long_is_late_at_its_limit_and_a_lone_call_is_not() -> None:
    callee = Callee()
    callee.gate.clear()
    batcher = dispatcher(callee, max_latency=0.05)
    late = await asyncio.gather(*(batcher.submit([n]) for n in range(2)), return_exceptions=True)
    assert [type(each) for each in late] == [BatchTimeout] * 2
    callee.gate.set()
    await turns()
    callee.gate.clear()
    alone = asyncio.create_task(batcher.submit([3]))
    await asyncio.sleep(0.06)
    callee.gate.set()
    assert (await alone).value == [6]


async def test_the_callee_gets_the_context_of_the_batchs_latest_request() -> None:
    async def call(batch: list[int], context: str) -> list[str]:
        return [context] * len(batch)

    batcher = dispatcher(call)
    results = await asyncio.gather(*(batcher.submit([n], f"context {n}") for n in range(5)))
    assert [each.value for each in results] == [["context 3"]] * 4 + [["context 4"]]


async def test_a_callee_that_exits_does_not_end_the_loop() -> None:
    async def call(batch: list[int], context: Any = None) -> list[int]:
        if 2 in batch:
            raise SystemExit(3)
        return batch

    batcher = dispatcher(call)

    async def ask(number: int) -> Any:
        try:
            return (await batcher.submit([number])).value
        except SystemExit:
            return "exited"

    assert await asyncio.gather(ask(1), ask(2)) == [[1], "exited"]
    await batcher.close()
