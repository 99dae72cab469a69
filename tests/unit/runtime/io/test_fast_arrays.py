"""The short cut for arrays reads what pydantic reads, and nothing else."""

from __future__ import annotations

import json
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json

from bentofn.runtime.io import fast_arrays
from bentofn.runtime.validators import DType, Shape

NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-10, 10),
    st.integers(-(2**70), 2**70),
)
ODD = st.one_of(st.none(), st.booleans(), st.text(max_size=2), st.lists(NUMBERS, max_size=2))
ROWS = st.integers(0, 3).flatmap(lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n)))
VALUES = st.one_of(
    st.lists(NUMBERS, max_size=5), ROWS, st.lists(st.one_of(NUMBERS, ODD), max_size=4), ODD
)


def read(body: bytes, annotation: Any = np.ndarray) -> Any:
    reader = fast_arrays.reader("rows", annotation)
    assert reader is not None
    return reader(body)


@given(VALUES, st.sampled_from([",", ", ", " ,\n"]))
def test_it_agrees_with_numpy_on_what_it_takes(value: Any, comma: str) -> None:
    body = json.dumps({"rows": value}, separators=(comma, ":")).encode()
    found = read(body)
    if found is None:
        return
    expected = np.array(from_json(body)["rows"])
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert found.tobytes() == expected.tobytes()


@given(ROWS)
def test_it_agrees_with_torch_on_what_it_takes(rows: list[list[float]]) -> None:
    body = json.dumps({"rows": rows}).encode()
    found = read(body, torch.Tensor)
    if found is not None:
        expected = torch.tensor(rows)
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("text", "shape", "dtype"),
    [
        ('{"rows": [0.5, 1, -2e3]}', (3,), "float64"),
        ('{"rows": [[0.5, 1], [2, 3]]}', (2, 2), "float64"),
        ('{"rows":[1, 2]}', (2,), "int64"),
        ('{"rows":[18446744073709551615, 0.5]}', (2,), "float64"),
    ],
)
def test_it_takes_lists_and_tables(text: str, shape: tuple[int, ...], dtype: str) -> None:
    found = read(text.encode())
    assert (found.shape, found.dtype.name) == (shape, dtype)
    found += 1  # a method may write into what it is given


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1.5]",
        '"rows"',
        ' {"rows": [1.5]}',
        '\ufeff{"rows": [1.5]}',
        '{"rows": [1.5]',
        '{"rows": []}',
        '{"rows": [[], []]}',
        '{"rows": 1.5}',
        '{"rows": {"a": 1.5}}',
        '{"rows": [1.5], "rows": [2.5]}',
        '{"rows": [1.5], "more": 1}',
        '{"row": [1.5]}',
        '{"rows": [[1.5, 2], [3]]}',
        '{"rows": [[1.5, 2], [3, [4]]]}',
        '{"rows": [1.5, [2, [3]]]}',
        '{"rows": [[[1.5]]]}',
        '{"rows": [true, 1.5]}',
        '{"rows": [null, 1.5]}',
        '{"rows": ["1.5"]}',
        '{"rows": [NaN, 1.5]}',
        '{"rows": [1e999, 1.5]}',
        '{"rows": [1e3]}',
        '{"rows": [9223372036854775808]}',
    ],
)
def test_it_leaves_the_rest_to_pydantic(text: str) -> None:
    assert read(text.encode()) is None


@pytest.mark.parametrize(
    "annotation",
    [
        np.ndarray,
        npt.NDArray[np.float32],
        Annotated[np.ndarray, DType("float64"), Shape((-1, 2))],
        torch.Tensor,
        Annotated[torch.Tensor, DType("float32")],
    ],
)
def test_types_that_it_knows(annotation: Any) -> None:
    assert fast_arrays.reader("rows", annotation) is not None


@pytest.mark.parametrize(
    "annotation",
    [
        list[float],
        np.ndarray | None,
        npt.NDArray[np.uint8],
        Annotated[np.ndarray, DType("int64")],
        Annotated[torch.Tensor, DType("bfloat16")],
    ],
)
def test_types_that_it_does_not(annotation: Any) -> None:
    assert fast_arrays.reader("rows", annotation) is None
