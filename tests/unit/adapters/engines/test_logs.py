from __future__ import annotations

import asyncio
import os

from hypothesis import given
from hypothesis import strategies as st

from bentofn.adapters.local.engines.logs import LogPipe
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
