"""The safetensors format: reading a header with suspicion, writing one with fixed bytes.

A file is 8 bytes of header length (little-endian), the header (JSON), the tensors' bytes.
Source: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blake3 import blake3

from bentofn.packager.files import CHUNK
from bentofn.runtime.errors import UserError

METADATA_KEY = "__metadata__"
DATA_ALIGNMENT = 4096
"""Tensor data starts at a multiple of this, so that it can be mapped by pages."""

MAX_HEADER = 100_000_000
"""Bytes of the longest header that the reference implementation reads."""

DTYPE_BITS: Mapping[str, int] = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I8", "U8", "BOOL"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}

_MAX_ELEMENTS = 2**63


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of a file.

    Args:
        dtype: The format's name, such as ``BF16``.
        shape: Its dimensions.
        start: Offset of its first byte from the start of the data.
        stop: Offset after its last byte.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class SafetensorsHeader:
    """What a file says of its tensors.

    Args:
        tensors: By name, in the order of their data, which they fill without a gap.
        metadata: The writer's own strings.
        data_start: Offset of the data from the start of the file.
    """

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    data_start: int

    @property
    def data_size(self) -> int:
        """Bytes of all tensors."""
        return max((info.stop for info in self.tensors.values()), default=0)


class _MalformedError(ValueError):
    pass


def read_header(path: Path) -> SafetensorsHeader:
    """Read and check a file's header; what passes, the reference implementation loads.

    Raises:
        UserError: The file cannot be read, or is no whole safetensors file.
    """
    return read_header_of(path, path)


def read_header_of(start: Path, path: Path, size: int | None = None) -> SafetensorsHeader:
    """Read the header of a file that stands in parts; failures as ``read_header``.

    Args:
        start: The first part, which holds the header.
        path: The file's name, for messages.
        size: Bytes of the whole file; by default those of the first part.
    """
    try:
        with start.open("rb") as file:
            size = start.stat().st_size if size is None else size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MAX_HEADER):
                raise _MalformedError("it is shorter than its header says")
            return _parse(file.read(length), size - 8 - length)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _MalformedError) else "its header is not JSON"
        raise UserError(
            f"{path} is not a whole safetensors file: {reason}; download or save it again."
        ) from error


def lay_out(tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, TensorInfo]:
    """Place tensors, given as name to dtype and shape, one after another.

    Wide dtypes come first, then by name: every tensor is aligned to its dtype, and the order
    depends on nothing else.
    """
    placed: dict[str, TensorInfo] = {}
    offset = 0
    for name in sorted(tensors, key=lambda name: (-DTYPE_BITS[tensors[name][0]], name)):
        dtype, shape = tensors[name]
        stop = offset + math.prod(shape) * DTYPE_BITS[dtype] // 8
        placed[name] = TensorInfo(dtype, shape, offset, stop)
        offset = stop
    return placed


def encode_header(tensors: Mapping[str, TensorInfo], metadata: Mapping[str, str]) -> bytes:
    """The bytes before the data: length, and JSON padded so that the data starts aligned."""
    header: dict[str, Any] = {METADATA_KEY: dict(sorted(metadata.items()))} if metadata else {}
    for name, info in tensors.items():
        header[name] = {
            "dtype": info.dtype,
            "shape": info.shape,
            "data_offsets": (info.start, info.stop),
        }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % DATA_ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def tensor_digests(path: Path) -> dict[str, str]:
    """Name to ``blake3:HEX`` of the bytes of each tensor of a file.

    Raises:
        UserError: As ``read_header``.
    """
    header = read_header(path)
    with path.open("rb") as file:
        file.seek(header.data_start)
        return digests_of(header, iter(lambda: file.read(CHUNK), b""))


def digests_of(header: SafetensorsHeader, data: Iterable[bytes]) -> dict[str, str]:
    """Name to ``blake3:HEX`` of the bytes of each tensor.

    Args:
        header: What the file holds.
        data: The bytes after the header, in chunks.
    """
    chunks = iter(data)
    left = memoryview(b"")
    digests: dict[str, str] = {}
    for name, info in header.tensors.items():
        hashed, missing = blake3(), info.stop - info.start
        while missing:
            left = left or memoryview(next(chunks, b""))
            if not left:
                raise UserError("The file became shorter while it was read; try again.")
            hashed.update(left[:missing])
            missing, left = missing - len(left[:missing]), left[missing:]
        digests[name] = f"blake3:{hashed.hexdigest()}"
    return digests


def _parse(text: bytes, data_size: int) -> SafetensorsHeader:
    if not text.startswith(b"{"):
        raise _MalformedError("its header is not a JSON object")
    header = json.loads(text.decode(), object_pairs_hook=_without_duplicates)
    metadata = header.pop(METADATA_KEY, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _MalformedError(f"{METADATA_KEY} must hold strings only")
    found = {name: _tensor_info(name, entry) for name, entry in header.items()}
    ordered = sorted(found.items(), key=lambda item: (item[1].start, item[1].stop))
    offset = 0
    for name, info in ordered:
        if info.start != offset:
            raise _MalformedError(f"tensor {name!r} overlaps another or leaves a gap")
        offset = info.stop
    if offset != data_size:
        raise _MalformedError(f"its tensors take {offset} bytes and it has {data_size}")
    return SafetensorsHeader(dict(ordered), metadata, 8 + len(text))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _MalformedError("a name stands twice in its header")
    for text in (*found, *found.values()):
        if isinstance(text, str):
            text.encode()  # a lone surrogate is no UTF-8: UnicodeEncodeError is a ValueError
    return found


def _tensor_info(name: str, entry: Any) -> TensorInfo:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [start, stop]} if (
            len(entry) == 3
            and dtype in DTYPE_BITS
            and all(type(n) is int and n >= 0 for n in (*shape, start, stop))
            and math.prod(n or 1 for n in shape) < _MAX_ELEMENTS
        ):
            if math.prod(shape) * DTYPE_BITS[dtype] != (stop - start) * 8:
                raise _MalformedError(f"tensor {name!r} has offsets that do not fit its shape")
            return TensorInfo(dtype, tuple(shape), start, stop)
    raise _MalformedError(f"the entry of tensor {name!r} is not a dtype, a shape and offsets")
