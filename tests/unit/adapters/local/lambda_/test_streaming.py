"""Answers on their way: in order, whole, no faster than Lambda's, a window of them in memory."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.lambda_.streaming import BANDWIDTH, BURST, Pace, ResponseStream


async def read(stream: ResponseStream) -> bytes:
    return b"".join([piece async for piece in stream.pieces()])


async def test_what_is_written_is_read_while_more_is_to_come() -> None:
    stream = ResponseStream()
    stream.begin("text/plain", lambda holds: None)
    assert await stream.begins()
    pieces = stream.pieces()
    for text in (b"one", b"two"):
        stream.feed(text)
        assert await anext(pieces) == text
    last = asyncio.ensure_future(read(stream))
    stream.feed(b"three")
    stream.end()
    assert await last == b"three"
    assert stream.size == 11


async def test_a_function_that_ends_without_writing_has_not_begun() -> None:
    stream = ResponseStream()
    waiting = asyncio.ensure_future(stream.begins())
    stream.end()
    assert not await waiting
    assert await read(stream) == b""


async def test_who_writes_waits_for_who_reads_until_that_has_gone() -> None:
    told: list[bool] = []
    stream = ResponseStream()
    stream.begin("text/plain", told.append)
    for _ in range(4):
        stream.feed(b"x" * (512 << 10))
    assert told == [True]
    pieces = stream.pieces()
    for _ in range(3):
        await anext(pieces)
    assert told == [True, False]
    for _ in range(3):
        stream.feed(b"x" * (512 << 10))
    stream.abandon()
    assert told == [True, False, True, False]
    stream.feed(b"x" * (8 << 20))
    assert told[-1] is False


async def test_the_end_lets_a_runtime_go_on() -> None:
    told: list[bool] = []
    stream = ResponseStream()
    stream.begin("text/plain", told.append)
    stream.feed(b"x" * (2 << 20))
    stream.end()
    assert told == [True, False]
    assert len(await read(stream)) == 2 << 20


def test_a_burst_passes_and_then_two_megabytes_a_second() -> None:
    pace = Pace()
    assert pace.delay(BURST, 100.0) == 0.0
    assert pace.delay(BANDWIDTH, 100.0) == 1.0
    assert pace.delay(BANDWIDTH, 101.0) == 1.0
    assert pace.delay(BURST, 200.0) == 0.0


@given(st.lists(st.integers(1, 9 << 20), min_size=1, max_size=40))
def test_no_answer_is_faster_than_its_bandwidth(sizes: list[int]) -> None:
    pace, now = Pace(), 0.0
    for size in sizes:
        now += pace.delay(size, now)
    assert abs(now - max(0.0, (sum(sizes) - BURST) / BANDWIDTH)) < 1e-6
