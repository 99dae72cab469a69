from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from bentofn.runtime.workers import Workers


async def test_calls_run_on_as_many_threads_as_there_are() -> None:
    workers = Workers(2, "w")
    both = threading.Barrier(2)
    seen = await asyncio.gather(*(workers.run(lambda: both.wait(10)) for _ in range(2)))
    assert sorted(seen) == [0, 1]
    names = {await workers.run(lambda: threading.current_thread().name) for _ in range(5)}
    assert names <= {"w_0", "w_1"}
    workers.close()


async def test_one_thread_runs_one_call_at_a_time_in_order() -> None:
    workers = Workers(1, "w")
    order: list[int] = []
    await asyncio.gather(*(workers.run(lambda n=n: order.append(n)) for n in range(20)))
    assert order == list(range(20))
    workers.close()


async def test_errors_arrive() -> None:
    workers = Workers(1, "w")

    def fail() -> None:
        raise KeyError("a")

    with pytest.raises(KeyError):
        await workers.run(fail)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await workers.run(lambda: next(iter(())))
    assert await workers.run(lambda: 1) == 1
    workers.close()


async def test_what_is_cancelled_before_it_began_does_not_begin() -> None:
    workers = Workers(1, "w")
    began, gate, ran = threading.Event(), threading.Event(), threading.Event()

    def hold() -> bool:
        began.set()
        return gate.wait(10)

    first = asyncio.ensure_future(workers.run(hold))
    second = asyncio.ensure_future(workers.run(ran.set))
    assert await asyncio.to_thread(began.wait, 10)
    second.cancel()
    await asyncio.wait([second])
    gate.set()
    assert await first
    workers.close()
    assert not ran.is_set()


async def test_a_close_drops_what_waits_and_lets_the_rest_end() -> None:
    workers = Workers(1, "w")
    began, gate = threading.Event(), threading.Event()

    def hold() -> str:
        began.set()
        gate.wait(10)
        return "done"

    first = asyncio.ensure_future(workers.run(hold))
    second = asyncio.ensure_future(workers.run(lambda: None))
    assert await asyncio.to_thread(began.wait, 10)
    threading.Timer(0.05, gate.set).start()
    workers.close()
    assert await first == "done"
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_a_thread_that_waits_keeps_nothing() -> None:
    workers = Workers(1, "w")

    class Large:
        pass

    large = Large()
    kept = weakref.ref(large)
    assert await workers.run(lambda it=large: 1) == 1
    del large
    assert await workers.run(lambda: 2) == 2
    gc.collect()
    assert kept() is None
    workers.close()


async def test_a_call_that_its_caller_left_still_has_its_thread() -> None:
    workers = Workers(2, "w")
    began, gate = threading.Event(), threading.Event()

    def hold() -> None:
        began.set()
        gate.wait(20)

    left = asyncio.ensure_future(workers.run(hold))
    assert await asyncio.to_thread(began.wait, 10)
    left.cancel()
    await asyncio.wait([left])
    try:
        assert await asyncio.wait_for(workers.run(lambda: "runs beside it"), 10)
    finally:
        gate.set()
    workers.close()


async def test_calls_one_after_the_other_share_a_thread() -> None:
    workers = Workers(4, "w")
    names = {await workers.run(lambda: threading.current_thread().name) for _ in range(50)}
    assert names == {"w_0"}
    workers.close()


async def test_a_close_does_not_wait_for_ever() -> None:
    workers = Workers(1, "w")
    began, gate = threading.Event(), threading.Event()

    def hold() -> bool:
        began.set()
        return gate.wait(20)

    held = asyncio.ensure_future(workers.run(hold))
    assert await asyncio.to_thread(began.wait, 10)
    workers.close(patience=0.01)
    assert not held.done()
    gate.set()
    assert await held


async def test_threads_that_rest_are_the_same_afterwards() -> None:
    workers = Workers(3, "w")
    threads: set[int] = set()
    both = threading.Barrier(2)

    def meet() -> None:
        threads.add(threading.get_ident())
        both.wait(10)

    for _ in range(3):
        await asyncio.gather(*(workers.run(meet) for _ in range(2)))
        await workers.rest()
    assert len(threads) == 2
    workers.close()


async def test_a_rest_waits_for_what_runs_but_not_for_ever() -> None:
    workers = Workers(1, "w")
    began, gate = threading.Event(), threading.Event()

    def hold() -> bool:
        began.set()
        return gate.wait(20)

    held = asyncio.ensure_future(workers.run(hold))
    dropped = asyncio.ensure_future(workers.run(gate.clear))
    assert await asyncio.to_thread(began.wait, 10)
    await workers.rest(patience=0.01)
    assert dropped.cancelled()
    assert not held.done()
    gate.set()
    await workers.rest()
    assert await held
    workers.close()
