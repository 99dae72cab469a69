"""The safetensors format for several arrays, read without copying the values.

Source: https://github.com/huggingface/safetensors, README.md, "Format"
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

from bentofn.runtime.io.npy import check_size, checked

METADATA = "__metadata__"

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

    header, start = _header(data)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("the metadata of the safetensors file is no mapping of texts")
    arrays: dict[str, Any] = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: _offsets(item[1])):
        begin, stop = _offsets(entry)
        if begin != end or stop < begin:
            raise ValueError("the values of the safetensors file overlap, or have gaps")
        end = stop
        dtype = np.dtype(_dtype(name, entry))
        check_size(entry.get("shape"), dtype.itemsize, stop - begin)
        if start + stop > len(data):
            raise ValueError("the safetensors file is cut off")
        count = (stop - begin) // dtype.itemsize
        array = np.frombuffer(data, dtype, count, start + begin)
        arrays[name] = checked(array, dtype.kind).reshape(entry["shape"])
    if start + end != len(data):
        raise ValueError("the safetensors file has more values than its header says")
    return {name: arrays[name] for name in header}, metadata


def encode(arrays: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> bytes:
    """The safetensors file of arrays, and of texts beside them.

    Raises:
        ValueError: The format has no name for an element type.
    """
    import numpy as np

    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
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


def _header(data: bytearray) -> tuple[dict[str, Any], int]:
    if len(data) < _LENGTH.size:
        raise ValueError("the body is no safetensors file")
    size = _LENGTH.unpack_from(data)[0]
    start = _LENGTH.size + size
    if size > _LONGEST_HEADER or start > len(data):
        raise ValueError("the header of the safetensors file is too long")
    try:
        header = json.loads(data[_LENGTH.size : start].decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ValueError("the header of the safetensors file cannot be read") from error
    if not isinstance(header, dict):
        raise ValueError("the header of the safetensors file is no mapping")
    return header, start


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice")
    return found


def _offsets(entry: Any) -> tuple[int, int]:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if (
        not isinstance(offsets, list)
        or len(offsets) != 2
        or not all(type(each) is int and 0 <= each < 1 << 63 for each in offsets)
    ):
        raise ValueError("an entry of the safetensors file does not say where its values are")
    return offsets[0], offsets[1]


def _dtype(name: str, entry: Mapping[str, Any]) -> str:
    kind = entry.get("dtype")
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise ValueError(f"the elements of {name!r} are none of {', '.join(_DTYPES)}")
    return _DTYPES[kind]
