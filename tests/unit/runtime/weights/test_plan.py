"""Every byte that is wanted is read once, and lands where the tensors say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import SafetensorsHeader, TensorInfo
from bentofn.runtime.weights.plan import Chunk, Plan, Range, chunks, in_groups, sliced, whole

START = 96


def header(*sizes: int) -> SafetensorsHeader:
    tensors, end = {}, 0
    for number, size in enumerate(sizes):
        tensors[f"t{number}"] = TensorInfo("U8", (size,), end, end + size)
        end += size
    return SafetensorsHeader(tensors, {}, START)


def carried_out(plan: Plan, size: int) -> bytes:
    """The buffer, of a file whose byte at an offset is that offset."""
    buffer = bytearray(plan.size)
    for chunk in chunks(plan.ranges, size):
        check(chunk, size)
        for offset, to, length in chunk.ranges:
            buffer[to : to + length] = bytes((offset + i) % 251 for i in range(length))
    return bytes(buffer)


def check(chunk: Chunk, size: int) -> None:
    assert 0 < chunk.length <= size
    assert chunk.length == sum(part.length for part in chunk.ranges)
    to = chunk.to
    for part in chunk.ranges:
        assert part.to == to
        to += part.length


def data(info: TensorInfo) -> bytes:
    return bytes((START + i) % 251 for i in range(info.start, info.stop))


@given(st.lists(st.integers(0, 90), max_size=8), st.sampled_from([8, 16, 64]))
def test_the_whole_file(sizes: Sequence[int], size: int) -> None:
    of = header(*sizes)
    assert carried_out(whole(of), size) == bytes((START + i) % 251 for i in range(of.data_size))


@given(st.lists(st.integers(0, 90), max_size=8), st.integers(1, 200))
def test_groups_are_whole_tensors_and_all_of_them(sizes: Sequence[int], size: int) -> None:
    of = header(*sizes)
    seen: list[str] = []
    for plan in in_groups(of, size):
        buffer = carried_out(plan, 16)
        assert (
            plan.size <= size or sum(info.stop > info.start for info in plan.tensors.values()) == 1
        )
        for name, info in plan.tensors.items():
            assert buffer[info.start : info.stop] == data(of.tensors[name])
            seen.append(name)
    assert seen == list(of.tensors)


def test_reads_begin_at_multiples_of_a_chunk() -> None:
    found = list(chunks([Range(START, 0, 200)], 64))
    assert [chunk.ranges[0].offset % 64 for chunk in found[1:]] == [0] * (len(found) - 1)


def test_only_the_bytes_of_a_slice_are_read() -> None:
    of = SafetensorsHeader({"w": TensorInfo("F32", (4, 6), 0, 96)}, {}, START)
    columns = sliced(of, {"w": (slice(None), slice(2, 4))})
    assert list(columns.ranges) == [Range(START + 8 + 24 * row, 8 * row, 8) for row in range(4)]
    rows = sliced(of, {"w": (slice(1, 3),)})
    assert list(rows.ranges) == [Range(START + 24, 0, 48)]
    assert rows.tensors["w"] == TensorInfo("F32", (2, 6), 0, 48)


def test_tensors_that_nobody_wants_are_not_read() -> None:
    plan = sliced(header(10, 20, 30), {"t2": (), "elsewhere": ()})
    assert list(plan.ranges) == [Range(START + 30, 0, 30)]


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ((slice(0, 4, 2),), "leaves elements out"),
        ((slice(None), slice(None)), "has 1 dimensions, not 2"),
    ],
)
def test_slices_that_cannot_be(index: Sequence[slice], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        sliced(header(10), {"t0": index})


def test_half_a_byte_cannot_be_read() -> None:
    of = SafetensorsHeader({"w": TensorInfo("F4", (4, 6), 0, 12)}, {}, START)
    assert list(sliced(of, {"w": (slice(1, 2),)}).ranges) == [Range(START + 3, 0, 3)]
    with pytest.raises(UserError, match="begins inside a byte"):
        list(sliced(of, {"w": (slice(None), slice(1, 3))}).ranges)
