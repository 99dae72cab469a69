from __future__ import annotations

import asyncio
import os

from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.engines.logs import PERIOD, LogPipe
from bentofn.adapters.local.kept_output import BYTES_PER_SECOND, LINES_PER_SECOND
from bentofn.packager.lines import LineSplitter


def split(data: bytes, sizes: list[int], limit: int) -> list[str]:
    splitter = LineSplitter(limit)
    lines: list[str] = []
    for size in sizes:
        lines += splitter.feed(data[:size])
        data = data[size:]
    return [*lines, *splitter.feed(data), *splitter.flush()]


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))),
    st.lists(st.integers(1, 9)),
)
def test_lines_survive_however_the_stream_is_cut(lines: list[str], sizes: list[int]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    assert split(data, sizes, 1 << 16) == lines


@given(st.binary(), st.lists(st.integers(1, 9)), st.integers(1, 20))
def test_no_line_is_longer_than_the_limit(data: bytes, sizes: list[int], limit: int) -> None:
    assert all(len(line) <= limit for line in split(data, sizes, limit))


def test_a_long_line_arrives_in_pieces_and_bad_bytes_are_replaced() -> None:
    assert split(b"abcdefg\n\xff\r\nend", [], 3) == ["abc", "def", "g", "\ufffd", "end"]


async def test_a_pipe_is_read_to_its_end() -> None:
    read, write = os.pipe()
    lines: list[str] = []
    pipe = await LogPipe.read(read, lines.append)
    os.write(write, b"one\ntwo\nrest")
    os.close(write)
    await asyncio.wait_for(pipe.ended, 10)
    assert lines == ["one", "two", "rest"]


async def test_of_a_flood_the_beginning_is_kept_and_the_rest_is_told() -> None:
    read, write = os.pipe()
    lines: list[str] = []
    pipe = await LogPipe.read(read, lines.append)

    def shout() -> None:
        for _ in range(2048):
            os.write(write, (b"x" * 1023 + b"\n") * 32)
        os.close(write)

    await asyncio.wait_for(asyncio.to_thread(shout), 60)
    await asyncio.wait_for(pipe.ended, 60)
    kept = [line for line in lines if line == "x" * 1023]
    assert len(kept) * 1024 < 2 * PERIOD * BYTES_PER_SECOND
    assert len(kept) >= 4096
    assert any(line.endswith("more bytes were written here and are not kept") for line in lines)


async def test_what_was_dropped_is_told_while_the_process_lives() -> None:
    read, write = os.pipe()
    lines: asyncio.Queue[str] = asyncio.Queue()
    pipe = await LogPipe.read(read, lines.put_nowait)

    def shout() -> None:
        for _ in range(round(PERIOD) * LINES_PER_SECOND // 1000 + 1):
            os.write(write, b"x\n" * 1000)

    await asyncio.wait_for(asyncio.to_thread(shout), 60)
    while (line := await asyncio.wait_for(lines.get(), 60)) == "x":
        pass
    assert line == "2000 more bytes were written here and are not kept"
    os.close(write)
    await asyncio.wait_for(pipe.ended, 60)
