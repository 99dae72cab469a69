"""numpy's file format for one array, read without pickles and without copying the values.

Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import ast
import io
import math
import struct
from typing import Any

_MAGIC = b"\x93NUMPY"
_LENGTHS = {1: struct.Struct("<H"), 2: struct.Struct("<I"), 3: struct.Struct("<I")}
"""Major version to how the header's length is written."""

_LONGEST_HEADER = 10_000
"""Bytes; numpy's own limit for a header that is not trusted."""

_KINDS = "biufcSU"
"""Element types that hold no Python objects: numpy's letters."""

_MOST_DIMENSIONS = 32
"""numpy 1's limit."""


def decode(data: bytearray) -> Any:
    """The array of a ``.npy`` file, which shares the memory of ``data``.

    Raises:
        ValueError: It is no such file, or holds Python objects.
    """
    import numpy as np

    fields, start = _header(data)
    dtype = _dtype(fields["descr"])
    shape, order = fields["shape"], "F" if fields["fortran_order"] else "C"
    check_size(shape, dtype.itemsize, len(data) - start)
    array = np.frombuffer(data, dtype, offset=start)
    return checked(array, dtype.kind).reshape(shape, order=order)


def encode(array: Any) -> bytes:
    """The ``.npy`` file of an array.

    Raises:
        ValueError: It holds Python objects.
    """
    import numpy as np

    if array.dtype.kind not in _KINDS:
        raise ValueError(f"an array of {array.dtype} cannot be sent as .npy")
    values = np.ascontiguousarray(array)
    header = io.BytesIO()
    fields = np.lib.format.header_data_from_array_1_0(values.reshape(array.shape))
    np.lib.format.write_array_header_1_0(header, fields)
    raw: Any = values.reshape(-1).view(np.uint8)
    return b"".join((header.getvalue(), raw))


def check_size(shape: Any, item: int, size: int) -> None:
    """Check that so many bytes are the values of a shape.

    Raises:
        ValueError: They are not, or it is no shape.
    """
    if not isinstance(shape, (tuple, list)) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError("the shape is none that an array can have")
    if not all(type(length) is int and 0 <= length < 1 << 63 for length in shape):
        raise ValueError("the shape is none that an array can have")
    expected = math.prod(shape) * item
    if expected != size:
        raise ValueError(f"the shape takes {expected} bytes of values, and {size} came")


def checked(array: Any, kind: str) -> Any:
    """An array as its elements can be used: in the machine's byte order, aligned.

    Raises:
        ValueError: A truth value is neither 0 nor 1.
    """
    import numpy as np

    if kind == "b" and bool((array.view(np.uint8) > 1).any()):
        raise ValueError("a truth value is neither 0 nor 1")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return native if native.flags.aligned else native.copy()


def _header(data: bytearray) -> tuple[dict[str, Any], int]:
    if data[:6] != _MAGIC or len(data) < 10:
        raise ValueError("the body is no .npy file")
    length = _LENGTHS.get(data[6])
    if length is None or len(data) < 8 + length.size:
        raise ValueError("the .npy file is of a version that is not known")
    start = 8 + length.size
    size = length.unpack_from(data, 8)[0]
    if size > _LONGEST_HEADER or start + size > len(data):
        raise ValueError("the header of the .npy file is too long")
    try:
        fields = ast.literal_eval(data[start : start + size].decode().strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError("the header of the .npy file cannot be read") from error
    if not isinstance(fields, dict) or set(fields) != {"descr", "fortran_order", "shape"}:
        raise ValueError("the header of the .npy file lacks a field, or has one too many")
    return fields, start + size


def _dtype(descr: Any) -> Any:
    import numpy as np

    try:
        dtype = np.dtype(descr) if isinstance(descr, str) else None
    except (TypeError, ValueError, SyntaxError):
        dtype = None
    if dtype is None or dtype.kind not in _KINDS or not dtype.itemsize or dtype.shape:
        raise ValueError("the elements must be numbers, booleans or strings")
    return dtype
