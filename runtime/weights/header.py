"""The header of the safetensors format, read with suspicion.

A file is 8 bytes of header length (little-endian), the header (JSON), the tensors' bytes.
Source: https://huggingface.co/docs/safetensors/index#format
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from bentofn.runtime.errors import UserError

METADATA_KEY = "__metadata__"
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
_CONVERT = "; `bentofn models import` makes safetensors of it"
_OTHERS: Sequence[tuple[bytes, str]] = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes" + _CONVERT),
    (b"\x80", "a pickle" + _CONVERT),
    (b"GGUF", "a GGUF model"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a pointer that Git LFS left; `git lfs pull` fetches the file"),
    (b"{", "JSON; of an index of shards, give load_files the files that it names"),
    (b"<", "a web page"),
)
"""How files begin that are taken for safetensors by mistake. None is the length of a header."""
_FIELDS = {"dtype", "shape", "data_offsets"}


class TensorInfo(NamedTuple):
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


class MalformedError(ValueError):
    """What is wrong with a file, as it completes "It is no whole safetensors file: ..."."""


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
            return read_header_from(file, path, start.stat().st_size if size is None else size)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error


def read_header_from(file: BinaryIO, path: object, size: int) -> SafetensorsHeader:
    """Read the header of an open file; failures as ``read_header``.

    Args:
        file: At its beginning.
        path: Its name, for messages.
        size: Bytes of the whole file.
    """
    try:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if length > MAX_HEADER:
            start += file.read(24)
            for first, kind in _OTHERS:
                if start.startswith(first):
                    raise UserError(f"{path} is not a safetensors file but {kind}.")
        if size < 8 or length > min(size - 8, MAX_HEADER):
            raise MalformedError("it is shorter than its header says" if size else "it is empty")
        return parse(file.read(length), size - 8 - length)
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}.") from error
    except MalformedError as error:
        raise UserError(
            f"{path} is not a whole safetensors file: {error}; download or save it again."
        ) from error


def header_end(start: bytes | bytearray, size: int) -> int:
    """How much of a file must be read for its header.

    Args:
        start: Its first 8 bytes or more.
        size: Bytes of the whole file.
    """
    length = int.from_bytes(start[:8], "little")
    return min(size, 8 + length) if length <= MAX_HEADER else min(size, 8)


def parse(text: bytes, data_size: int) -> SafetensorsHeader:
    """Check a header.

    Args:
        text: The JSON, with the spaces that may follow it.
        data_size: Bytes that follow in the file.

    Raises:
        MalformedError: It is none, or not of so much data.
    """
    if not text.startswith(b"{"):
        raise MalformedError("its header is not a JSON object")
    try:
        header = json.loads(text.decode(), object_pairs_hook=_without_duplicates)
    except MalformedError:
        raise
    except (ValueError, RecursionError) as error:
        raise MalformedError("its header is not JSON") from error
    if b"\\u" in text and not _is_unicode(header):
        raise MalformedError("its header is not JSON")
    metadata = header.pop(METADATA_KEY, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise MalformedError(f"{METADATA_KEY} must hold strings only")
    found = {name: _tensor_info(name, entry) for name, entry in header.items()}
    ordered = sorted(found.items(), key=lambda item: (item[1].start, item[1].stop))
    offset = 0
    for name, info in ordered:
        if info.start != offset:
            raise MalformedError(f"tensor {name!r} overlaps another or leaves a gap")
        offset = info.stop
    if offset != data_size:
        raise MalformedError(f"its tensors take {offset} bytes and it has {data_size}")
    return SafetensorsHeader(dict(ordered), metadata, 8 + len(text))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedError("a name stands twice in its header")
    return found


def _is_unicode(header: Mapping[str, Any]) -> bool:
    """Whether no name or text has half of a surrogate pair, which is no UTF-8."""
    try:
        json.dumps(header, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _tensor_info(name: str, entry: Any) -> TensorInfo:
    if isinstance(entry, dict) and entry.keys() == _FIELDS:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        bits = DTYPE_BITS.get(dtype) if isinstance(dtype, str) else None
        if bits and _are_sizes(shape) and _are_sizes(offsets) and len(offsets) == 2:
            start, stop = offsets
            product = math.prod(shape)
            if product * bits != (stop - start) * 8:
                raise MalformedError(f"tensor {name!r} has offsets that do not fit its shape")
            # Of an empty tensor too, as the reference implementation has it.
            if product or math.prod([n or 1 for n in shape]) < _MAX_ELEMENTS:
                return TensorInfo(dtype, tuple(shape), start, stop)
    raise MalformedError(f"the entry of tensor {name!r} is not a dtype, a shape and offsets")


def _are_sizes(values: Any) -> bool:
    # Thousands of tensors have two each: no generator, which takes twice as long.
    return isinstance(values, list) and not [n for n in values if type(n) is not int or n < 0]
