"""Move the data of safetensors files to a page boundary, so that it can be mapped as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

from bentofn.packager.files import CHUNK
from bentofn.packager.store.blobs import open_source
from bentofn.runtime.errors import UserError

PAGE = 4096
"""Bytes that the data's start is a multiple of."""

_LENGTH = 8
_MAX_HEADER = 100_000_000
"""Source: MAX_HEADER_SIZE of https://github.com/huggingface/safetensors."""


def is_aligned(source: Path) -> bool:
    """Whether the data of a safetensors file starts at a page boundary.

    Raises:
        UserError: It is no safetensors file or cannot be read.
    """
    return (_LENGTH + _header_size(source)) % PAGE == 0


def align(source: Path, target: Path) -> None:
    """Copy a safetensors file with spaces after its header, which the format allows.

    The same input gives the same bytes; the data is not touched.

    Raises:
        UserError: The source is no safetensors file or cannot be read.
    """
    size = _header_size(source)
    padding = -(_LENGTH + size) % PAGE
    with open_source(source) as read, target.open("wb") as write:
        read.seek(_LENGTH)
        write.write((size + padding).to_bytes(_LENGTH, "little"))
        write.write(read.read(size) + b" " * padding)
        shutil.copyfileobj(read, write, CHUNK)


def _header_size(source: Path) -> int:
    with open_source(source) as file:
        size = int.from_bytes(file.read(_LENGTH), "little")
        whole = file.seek(0, 2)
    if not 2 <= size <= min(_MAX_HEADER, whole - _LENGTH):
        raise UserError(f"{source} is not a safetensors file, or was cut short; fetch it again.")
    return size
