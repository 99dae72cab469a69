"""The safetensors format for several arrays, read without copying the values.

Source: https://github.com/huggingface/safetensors, README.md, "Format"
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from bentofn.runtime.io.npy import checked
from bentofn.runtime.weights.header import (
    METADATA_KEY,
    MalformedError,
    SafetensorsHeader,
    parse,
)

_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 1 << 20
"""Bytes; the format allows a hundred times as much, which models need and requests do not."""

_DTYPES = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4",
    "I32": "<i4", "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
    "C64": "<c8",
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


def decode(data: bytearray) -> tuple[dict[str, Any], dict[str, str]]:
    """The arrays by name, which share the memory of ``data``, and the metadata.

    Raises:
        ValueError: It is no such file, or an element type is none of numpy's.
    """
    import numpy as np

    header = _header(data)
    arrays: dict[str, Any] = {}
    for name, info in header.tensors.items():
        if info.dtype not in _DTYPES:
            raise ValueError(f"the elements of {name!r} are none of {', '.join(_DTYPES)}")
        dtype = np.dtype(_DTYPES[info.dtype])
        count = (info.stop - info.start) // dtype.itemsize
        array = np.frombuffer(data, dtype, count, header.data_start + info.start)
        arrays[name] = checked(array, dtype.kind).reshape(info.shape)
    return arrays, dict(header.metadata)


def encode(arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> bytes:
    """The safetensors file of arrays, and of texts beside them.

    Raises:
        ValueError: The format has no name for an element type.
    """
    import numpy as np

    header: dict[str, Any] = {METADATA_KEY: dict(metadata)} if metadata else {}
    pieces: list[Any] = []
    end = 0
    for name, array in arrays.items():
        values = np.ascontiguousarray(array)
        dtype = values.dtype.newbyteorder("<")
        if dtype.str not in _NAMES:
            raise ValueError(f"an array of {array.dtype} cannot be sent as safetensors")
        piece: Any = values.astype(dtype, copy=False).reshape(-1).view(np.uint8)
        header[name] = {
            "dtype": _NAMES[dtype.str],
            "shape": list(array.shape),
            "data_offsets": [end, end + len(piece)],
        }
        end += len(piece)
        pieces.append(piece)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((_LENGTH.pack(len(text)), text, *pieces))


def _header(data: bytearray) -> SafetensorsHeader:
    if len(data) < _LENGTH.size:
        raise ValueError("the body is no safetensors file")
    size = _LENGTH.unpack_from(data)[0]
    start = _LENGTH.size + size
    if size > _LONGEST_HEADER or start > len(data):
        raise ValueError("the header of the safetensors file is too long")
    try:
        return parse(bytes(data[_LENGTH.size : start]), len(data) - start)
    except MalformedError as error:
        raise ValueError(f"the body is no whole safetensors file: {error}") from error
