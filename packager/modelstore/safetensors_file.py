"""The safetensors format: writing a header with fixed bytes, and the digests of tensors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from blake3 import blake3

from bentofn.packager.files import CHUNK
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import (
    DTYPE_BITS,
    METADATA_KEY,
    SafetensorsHeader,
    TensorInfo,
    read_header,
)

DATA_ALIGNMENT = 4096
"""Tensor data starts at a multiple of this, so that it can be mapped by pages."""


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
