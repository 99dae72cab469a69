from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.clock import ManualClock, SystemClock, Timer


def note(log: list[tuple[str, float]], clock: SystemClock, name: str) -> Callable[[], None]:
    return lambda: log.append((name, clock.monotonic()))


def test_time_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(1_000_000.0)
    assert clock.now() == 1_000_000.0
    clock.advance(90.5)
    assert clock.now() == 1_000_090.5
    assert clock.monotonic() == 90.5


@given(st.lists(st.floats(0.0, 1e6), max_size=30), st.floats(0.0, 1e6))
def test_calls_are_made_in_order_each_at_its_time(times: list[float], until: float) -> None:
    clock = ManualClock()
    log: list[tuple[str, float]] = []
    for number, when in enumerate(times):
        clock.call_at(when, note(log, clock, str(number)))
    clock.advance(until)
    due = sorted((when, number) for number, when in enumerate(times) if when <= until)
    assert log == [(str(number), when) for when, number in due]


def test_a_call_may_ask_for_another_that_still_falls_into_the_time() -> None:
    clock = ManualClock()
    log: list[float] = []

    def again() -> None:
        log.append(clock.monotonic())
        clock.call_at(clock.monotonic() + 60.0, again)

    clock.call_at(60.0, again)
    clock.advance(300.0)
    assert log == [60.0, 120.0, 180.0, 240.0, 300.0]


def test_a_cancelled_call_is_not_made_and_not_kept() -> None:
    clock = ManualClock()
    log: list[tuple[str, float]] = []
    timers: list[Timer] = []
    for number in range(10_000):
        timers.append(clock.call_at(1.0, note(log, clock, str(number))))
        timers[-1].cancel()
    clock.call_at(2.0, note(log, clock, "kept"))
    assert len(clock._timers) < 1_000
    clock.advance(5.0)
    assert log == [("kept", 2.0)]


async def test_a_fast_clock_passes_a_week_in_no_time() -> None:
    clock = SystemClock(speed=1e7)
    began = clock.now()
    await asyncio.wait_for(clock.sleep(7 * 86400.0), 10)
    assert clock.now() - began >= 7 * 86400.0


async def test_an_earlier_call_overtakes_one_that_was_asked_for_before() -> None:
    clock = SystemClock(speed=1000.0)
    made: asyncio.Queue[str] = asyncio.Queue()
    clock.call_at(clock.monotonic() + 300.0, lambda: made.put_nowait("late"))
    clock.call_at(clock.monotonic() + 100.0, lambda: made.put_nowait("early"))
    assert [await made.get(), await made.get()] == ["early", "late"]


async def test_what_is_due_already_is_called_though_time_stands_still() -> None:
    clock = ManualClock()
    called = asyncio.Event()
    clock.call_at(0.0, called.set)
    await asyncio.wait_for(called.wait(), 10)


async def test_a_call_that_breaks_does_not_keep_the_others() -> None:
    clock = ManualClock()
    called = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    clock.call_at(0.0, lambda: 1 // 0)
    clock.call_at(0.0, called.set)
    await asyncio.wait_for(called.wait(), 10)


async def test_a_sleeper_that_is_cancelled_is_forgotten() -> None:
    clock = ManualClock()
    sleeper = asyncio.create_task(clock.sleep(10.0))
    await asyncio.sleep(0)
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    clock.advance(20.0)


async def test_tick_waits_for_what_a_call_has_begun_before_time_goes_on() -> None:
    clock = ManualClock()
    log: list[tuple[str, float]] = []

    async def work(name: str) -> None:
        with clock.working():
            for _ in range(20):  # as something that takes real time
                await asyncio.sleep(0)
            log.append((name, clock.monotonic()))

    tasks: list[asyncio.Task[None]] = []

    async def sleeper() -> None:
        await clock.sleep(15.0)
        await work("sleeper")

    tasks.append(asyncio.create_task(sleeper()))
    for when in (10.0, 20.0):
        clock.call_at(when, lambda: tasks.append(asyncio.create_task(work("timer"))))
    await asyncio.wait_for(clock.tick(60.0), 10)
    assert log == [("timer", 10.0), ("sleeper", 15.0), ("timer", 20.0)]
    assert clock.monotonic() == 60.0


async def test_a_tick_moves_a_running_clock_ahead_too() -> None:
    clock = SystemClock()
    called: list[float] = []
    clock.call_at(clock.monotonic() + 3600.0, lambda: called.append(clock.monotonic()))
    began = clock.now()
    await clock.tick(7200.0)
    assert len(called) == 1
    assert clock.now() - began >= 7200.0


async def test_two_ticks_at_once_pass_one_after_the_other() -> None:
    clock = ManualClock()
    log: list[float] = []

    async def work() -> None:
        with clock.working():
            for _ in range(20):
                await asyncio.sleep(0)
            log.append(clock.monotonic())

    tasks: list[asyncio.Task[None]] = []
    for when in (10.0, 100.0):
        clock.call_at(when, lambda: tasks.append(asyncio.create_task(work())))
    await asyncio.wait_for(asyncio.gather(clock.tick(60.0), clock.tick(90.0)), 10)
    assert log == [10.0, 100.0]
    assert clock.monotonic() == 150.0


async def test_a_tick_goes_on_for_work_that_is_held_up_until_a_time() -> None:
    clock = ManualClock()
    done: list[float] = []

    async def work() -> None:
        with clock.working():
            await asyncio.sleep(0)
            with clock.holding():
                await clock.sleep(30.0)
            done.append(clock.monotonic())

    tasks: list[asyncio.Task[None]] = []
    clock.call_at(10.0, lambda: tasks.append(asyncio.create_task(work())))
    await asyncio.wait_for(clock.tick(50.0), 10)
    assert done == [40.0]
