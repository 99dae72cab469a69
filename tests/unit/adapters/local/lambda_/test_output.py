"""What a runtime writes: frames, lines, and how much of them is kept."""

from __future__ import annotations

import asyncio
import os

from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.kept_output import LINES_PER_SECOND, Budget
from bentofn.adapters.local.lambda_.output import TAIL, Frames, Pipe, Tail
from bentofn.packager.lines import LineSplitter


def frame(message: bytes, kind: int = 0xA55A0003) -> bytes:
    return kind.to_bytes(4, "big") + len(message).to_bytes(4, "big") + bytes(8) + message


@given(st.lists(st.text(st.characters(exclude_characters="\n", codec="utf-8"))), st.data())
def test_frames_come_out_as_they_went_in_however_they_are_cut(
    messages: list[str], data: st.DataObject
) -> None:
    stream = b"".join(frame(message.encode()) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    frames = Frames()
    found: list[str] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += frames.feed(stream[start:end])
    assert found == messages


@given(st.binary())
def test_what_is_no_frame_is_let_pass(garbage: bytes) -> None:
    frames = Frames()
    frames.feed(garbage)
    found = frames.feed(bytes(20) + frame(b"after", 0xA55A001B) * 20)
    assert set(found[-1:]) <= {"after"}


def test_a_frame_of_several_lines_is_several_lines() -> None:
    assert Frames().feed(frame(b"one\ntwo\n")) == ["one", "two"]


def test_a_tail_has_the_last_bytes_of_a_log() -> None:
    tail = Tail()
    for number in range(1000):
        tail.add(f"line {number}")
    assert len(tail.read()) == TAIL
    assert tail.read().endswith(b"line 998\nline 999\n")


def test_a_budget_begins_anew_each_second() -> None:
    now = 0.0
    budget = Budget(lambda: now)
    assert all(budget.take("x") for _ in range(LINES_PER_SECOND))
    assert not budget.take("x" * 9)
    assert budget.note() == "10 more bytes were written here and are not kept"
    now = 1.0
    assert budget.take("x")
    assert budget.note() == ""


@given(st.lists(st.sampled_from([b"", b"a", b"\n", b"\n\n", b"line\n" * 900]), max_size=20))
def test_what_is_cut_off_is_counted(parts: list[bytes]) -> None:
    data = b"".join(parts)
    budget = Budget(lambda: 0.0)
    kept = budget.cut(data)
    assert data.startswith(kept)
    assert budget.dropped == len(data) - len(kept)
    assert kept.count(b"\n") <= LINES_PER_SECOND
    assert kept == data or kept.count(b"\n") == LINES_PER_SECOND


async def test_what_was_written_is_there_when_the_pipe_is_drained() -> None:
    loop = asyncio.get_running_loop()
    lines: list[str] = []
    read, write = os.pipe()
    pipe = Pipe(read, LineSplitter(), Budget(loop.time), lines.append)
    os.write(write, b"one\ntwo\nthr")
    pipe.drain()
    assert lines == ["one", "two"]
    os.close(write)
    pipe.close()
    assert lines == ["one", "two", "thr"]
    pipe.close()
