from __future__ import annotations

import asyncio

import pytest

from bentofn.runtime.http.interrupt import DeadlineExceededError, Deadlines


async def test_a_deadline_interrupts_what_it_holds() -> None:
    with pytest.raises(DeadlineExceededError), Deadlines(0.001).begin():
        await asyncio.sleep(60)
    await asyncio.sleep(0)  # the task is usable afterwards


async def test_a_lifted_deadline_does_not() -> None:
    with Deadlines(0.001).begin() as deadline:
        deadline.lift()
        await asyncio.sleep(0.01)


async def test_a_cancellation_from_elsewhere_stays_one() -> None:
    async def held() -> None:
        with Deadlines(60).begin():
            await asyncio.sleep(60)

    task = asyncio.ensure_future(held())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_of_two_deadlines_the_earlier_one_speaks() -> None:
    with Deadlines(60).begin(), pytest.raises(DeadlineExceededError), Deadlines(0.001).begin():
        await asyncio.sleep(60)


def test_deadlines_go_on_in_the_next_loop() -> None:
    deadlines = Deadlines(0.001)

    async def lifted() -> None:
        with deadlines.begin():
            pass
        deadlines.close()

    async def held() -> None:
        with pytest.raises(DeadlineExceededError), deadlines.begin():
            await asyncio.wait_for(asyncio.Event().wait(), 30)

    asyncio.run(lifted())
    asyncio.run(held())
