"""Values of every batchable type survive being joined and split."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bentofn.runtime.batching import payload
from bentofn.runtime.batching.payload import BatchLengthMismatch, NotBatchable
from bentofn.runtime.errors import InvalidArgument

SIZES = st.lists(st.integers(0, 5), min_size=1, max_size=6)


def array(size: int, axis: int, start: int) -> np.ndarray[Any, Any]:
    shape = [2, 3]
    shape.insert(axis, size)
    return np.arange(start, start + size * 6).reshape(shape)


@given(SIZES, st.sampled_from([list, tuple]))
def test_sequences_round_trip(sizes: list[int], sequence: type) -> None:
    values = [sequence(f"{i}.{j}" for j in range(size)) for i, size in enumerate(sizes)]
    assert [payload.size(value) for value in values] == sizes
    assert payload.split(payload.join(values), sizes) == values


@given(SIZES, st.integers(-1, 2))
def test_arrays_round_trip_along_any_axis(sizes: list[int], axis: int) -> None:
    values = [array(size, axis % 3, 100 * i) for i, size in enumerate(sizes)]
    assert [payload.size(value, axis) for value in values] == sizes
    assert len({payload.kind(value, axis) for value in values}) == 1
    parts = payload.split(payload.join(values, axis), sizes, axis)
    for part, value in zip(parts, values, strict=True):
        np.testing.assert_array_equal(part, value)


@given(SIZES)
def test_tables_round_trip_with_fresh_row_numbers(sizes: list[int]) -> None:
    values = [pd.DataFrame({"a": range(size), "b": ["x"] * size}) for size in sizes]
    assert [payload.size(value) for value in values] == sizes
    for part, value in zip(payload.split(payload.join(values), sizes), values, strict=True):
        pd.testing.assert_frame_equal(part, value, check_dtype=False, check_index_type=False)


def test_a_column_of_answers_is_split() -> None:
    first, second = payload.split(pd.Series([1, 2, 3]), [1, 2])
    assert list(first) == [1]
    assert second.to_dict() == {0: 2, 1: 3}
    assert payload.join([first, second]).to_dict() == {0: 1, 1: 2, 2: 3}
    assert payload.kind(first) == payload.kind(second)


@pytest.mark.slow
def test_tensors_round_trip() -> None:
    import torch

    values = [torch.full((2, size), size) for size in (1, 0, 3)]
    assert [payload.size(value, 1) for value in values] == [1, 0, 3]
    assert len({payload.kind(value, 1) for value in values}) == 1
    parts = payload.split(payload.join(values, 1), [1, 0, 3], 1)
    assert all(torch.equal(part, value) for part, value in zip(parts, values, strict=True))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.zeros((1, 3)), np.zeros((1, 4))),
        (np.zeros((1, 3)), np.zeros((1, 3), dtype="float32")),
        (np.zeros((1, 3)), np.zeros((1, 3, 1))),
        (np.zeros(1), [0.0]),
        ([0.0], (0.0,)),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"a": [1.5]})),
    ],
)
def test_values_that_would_change_each_other_are_of_different_kinds(one: Any, other: Any) -> None:
    assert payload.kind(one) != payload.kind(other)


@pytest.mark.parametrize("answer", [[1], [1, 2, 3], np.zeros((3, 2)), pd.DataFrame({"a": [1]})])
def test_an_answer_of_another_length_names_both_numbers(answer: Any) -> None:
    with pytest.raises(BatchLengthMismatch, match=rf"had 2 items .* returned {len(answer)}"):
        payload.split(answer, [1, 1])


@pytest.mark.parametrize("value", ["text", {"a": [1]}, 3, None, iter([1])])
def test_other_types_are_named(value: Any) -> None:
    with pytest.raises(NotBatchable, match=type(value).__name__):
        payload.size(value)
    with pytest.raises(NotBatchable, match=type(value).__name__):
        payload.split(value, [1])


def test_an_array_without_the_batch_axis_is_the_callers_mistake_only_on_the_way_in() -> None:
    with pytest.raises(InvalidArgument, match="batch axis is 0"):
        payload.size(np.zeros(()))
    with pytest.raises(NotBatchable, match="axis 1"):
        payload.split(np.zeros(2), [2], axis=1)


def test_no_library_is_imported_for_a_service_that_does_not_use_it() -> None:
    program = (
        "import sys; from bentofn.runtime.batching import payload;"
        "payload.split(payload.join([[1], [2]]), [1, 1]); payload.kind([1]);"
        "print(sorted({'numpy', 'torch', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
