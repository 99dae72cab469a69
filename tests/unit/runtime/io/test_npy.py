""".npy and safetensors bodies: equal to the libraries' own, and safe on anything else."""

from __future__ import annotations

import contextlib
import io
import json
import struct
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bentofn.runtime.io import npy
from bentofn.runtime.io import safetensors as named

NPY_ARRAYS = arrays.arrays(
    st.one_of(
        arrays.boolean_dtypes(),
        arrays.integer_dtypes(endianness="?"),
        arrays.unsigned_integer_dtypes(),
        arrays.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
        arrays.complex_number_dtypes(),
        arrays.unicode_string_dtypes(min_len=1, max_len=5),
    ),
    arrays.array_shapes(min_dims=0, min_side=0, max_side=4),
)
NAMED_ARRAYS = arrays.arrays(
    st.one_of(
        arrays.boolean_dtypes(),
        arrays.integer_dtypes(endianness="<"),
        arrays.unsigned_integer_dtypes(endianness="<"),
        arrays.floating_dtypes(endianness="<", sizes=(16, 32, 64)),
    ),
    arrays.array_shapes(min_dims=0, min_side=0, max_side=4),
)


def as_npy(array: Any) -> bytearray:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return bytearray(buffer.getvalue())


def same(one: Any, other: Any) -> None:
    assert (one.shape, one.dtype.newbyteorder("=")) == (other.shape, other.dtype.newbyteorder("="))
    np.testing.assert_array_equal(one, other)


@given(NPY_ARRAYS, st.booleans())
def test_npy_is_numpys(array: Any, fortran: bool) -> None:
    array = np.asfortranarray(array) if fortran else array
    same(npy.decode(as_npy(array)), array)
    same(np.load(io.BytesIO(npy.encode(array)), allow_pickle=False), array)


@given(st.dictionaries(st.text(max_size=5), NAMED_ARRAYS, max_size=4))
def test_safetensors_are_the_librarys(given: dict[str, Any]) -> None:
    given.pop("__metadata__", None)
    written = safetensors.numpy.save(given, {"note": "x"})
    decoded, metadata = named.decode(bytearray(written))
    assert metadata == {"note": "x"}
    ours = safetensors.numpy.load(named.encode(given))
    assert decoded.keys() == ours.keys() == given.keys()
    for name, array in given.items():
        same(decoded[name], array)
        same(ours[name], array)


def test_values_are_not_copied_and_can_be_written() -> None:
    body = as_npy(np.arange(6.0))
    array = npy.decode(body)
    array[0] = 7.0
    assert struct.unpack_from("<d", body, len(body) - 48)[0] == 7.0


def test_pickles_are_refused() -> None:
    with pytest.raises(ValueError, match="numbers, booleans or strings"):
        npy.decode(as_npy(np.array([{}], dtype=object)))
    with pytest.raises(ValueError, match="numbers, booleans or strings"):
        npy.decode(as_npy(np.zeros(2, dtype=[("a", "f4")])))
    with pytest.raises(ValueError, match="cannot be sent"):
        npy.encode(np.array([{}], dtype=object))


def with_header(header: str, data: bytes = b"") -> bytearray:
    return bytearray(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (bytearray(b""), "no .npy file"),
        (bytearray(b"PK\x03\x04 and more of it"), "no .npy file"),
        (bytearray(b"\x93NUMPY\x09\x00\x00\x00\x00"), "version"),
        (with_header("{'descr': '<f4'}"), "lacks a field"),
        (with_header("__import__('os')"), "cannot be read"),
        (with_header("(" * 5000), "cannot be read"),
        (with_header(" " * 20_000), "too long"),
        (with_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"x" * 8), "numb"),
        (with_header("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", b"\x07"), "truth"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}"), "shape"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}"), "shape"),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (9**99,)}"), "read"),
        (
            with_header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {(1 << 62,) * 2}}}"),
            "bytes of values",
        ),
        (with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}", b"1234"), "12 byt"),
    ],
)
def test_what_is_no_npy(body: bytearray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        npy.decode(body)


@given(st.binary(max_size=200))
@example(bytes(with_header("{'descr': '<f4', 'fortran_order': 1, 'shape': ()}", b"1234")))
def test_any_bytes_are_an_array_or_an_error(noise: bytes) -> None:
    for body in (noise, b"\x93NUMPY\x01\x00" + noise):
        try:
            assert isinstance(npy.decode(bytearray(body)), np.ndarray)
        except (ValueError, OverflowError):
            continue


@given(st.data())
def test_any_change_of_an_npy_is_an_array_or_an_error(data: st.DataObject) -> None:
    body = as_npy(np.arange(6, dtype=np.float32).reshape(2, 3))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError, OverflowError):
        assert isinstance(npy.decode(body), np.ndarray)


def packed(header: Any, data: bytes = b"") -> bytearray:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return bytearray(struct.pack("<Q", len(text)) + text + data)


def entry(*offsets: Any, dtype: Any = "U8", shape: Any = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (bytearray(b""), "no safetensors"),
        (bytearray(b"\xff" * 8), "too long"),
        (packed(b"{"), "not JSON"),
        (packed(b"[" * 5000), "not a JSON object"),
        (packed([]), "not a JSON object"),
        (packed(b'{"a": 1, "a": 2}'), "twice"),
        (packed({"a": 1}), "'a' is not a dtype"),
        (packed({"a": entry(0, -2)}), "'a' is not a dtype"),
        (packed({"a": entry(0, 2), "b": entry(1, 3)}, b"123"), "overlap"),
        (packed({"a": entry(1, 3)}, b"123"), "gap"),
        (packed({"a": entry(0, 2)}, b"1"), "take 2 bytes and it has 1"),
        (packed({"a": entry(0, 2)}, b"123"), "take 2 bytes and it has 3"),
        (packed({"a": entry(0, 2, shape=(3,))}, b"12"), "do not fit its shape"),
        (packed({"a": entry(0, 2, shape=(-2,))}, b"12"), "'a' is not a dtype"),
        (packed({"a": entry(0, 2, dtype="F8_E4M3")}, b"12"), "'a' are none of"),
        (packed({"a": entry(0, 2, dtype=["U8"])}, b"12"), "'a' is not a dtype"),
        (packed({"a": entry(0, 2, dtype="BOOL")}, b"12"), "truth"),
        (packed({"__metadata__": {"a": 1}}), "metadata"),
    ],
)
def test_what_is_no_safetensors(body: bytearray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        named.decode(body)


@given(st.data())
def test_any_change_of_safetensors_is_arrays_or_an_error(data: st.DataObject) -> None:
    body = bytearray(named.encode({"a": np.arange(3.0), "b": np.ones((2, 2), np.int8)}))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found, _ = named.decode(body)
    except (ValueError, OverflowError):
        return
    assert all(isinstance(array, np.ndarray) for array in found.values())
