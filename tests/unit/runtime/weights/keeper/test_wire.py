"""Requests to the keeper: what is sent is what is read, and anything else is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.weights.keeper.wire import MOST_RANGES, Request
from bentofn.runtime.weights.plan import Range

NUMBERS = st.integers(0, 2**64)
RANGES = st.lists(st.builds(Range, NUMBERS, NUMBERS, NUMBERS), max_size=5)
HANDLES = st.binary(min_size=64, max_size=64)


@given(st.text(max_size=9), HANDLES, NUMBERS, RANGES)
def test_a_request_is_read_as_it_was_sent(
    gpu: str, handle: bytes, offset: int, ranges: Sequence[Range]
) -> None:
    request = Request(gpu, handle, offset, ranges)
    line = request.encode()
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert Request.decode(line) == request


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=9,
)
WRONG = st.fixed_dictionaries(
    {
        "gpu": st.just("GPU-1") | ANYTHING,
        "handle": st.just("00" * 64) | ANYTHING,
        "offset": st.just(0) | ANYTHING,
        "ranges": st.just([[0, 0, 1]]) | ANYTHING | st.lists(st.lists(ANYTHING, max_size=4)),
    }
)


@given(st.binary(max_size=50) | (WRONG | ANYTHING).map(lambda each: json.dumps(each).encode()))
def test_whatever_comes_is_a_request_or_refused(line: bytes) -> None:
    try:
        request = Request.decode(line)
    except ValueError:
        return
    assert Request.decode(request.encode()) == request


@pytest.mark.parametrize(
    "change",
    [
        {"offset": -1},
        {"offset": True},
        {"offset": 1.0},
        {"gpu": 1},
        {"handle": "00"},
        {"ranges": [[0, 0]]},
        {"ranges": [[0, 0, -1]]},
        {"ranges": [[0, 0, 1]] * (MOST_RANGES + 1)},
    ],
)
def test_numbers_that_cannot_be(change: dict[str, Any]) -> None:
    right = json.loads(Request("GPU-1", bytes(64), 0, [Range(0, 0, 1)]).encode())
    with pytest.raises(ValueError, match="not one of bentofn's"):
        Request.decode(json.dumps(right | change).encode())


@given(NUMBERS, RANGES, st.integers(0, 2**65), st.integers(0, 2**65))
def test_only_what_is_inside_of_file_and_allocation_passes(
    offset: int, ranges: Sequence[Range], file: int, allocation: int
) -> None:
    request = Request("GPU-1", bytes(64), offset, ranges)
    is_inside = offset <= allocation and all(
        each.offset + each.length <= file and offset + each.to + each.length <= allocation
        for each in ranges
    )
    with nullcontext() if is_inside else pytest.raises(ValueError, match="request is for byte"):
        request.check(file, allocation)
