"""Move the data of safetensors files to a page boundary, so that it can be mapped as it is."""

from __future__ import annotations

import shutil
from pathlib import Path

from bentofn.packager.files import CHUNK
from bentofn.packager.modelstore.safetensors_file import DATA_ALIGNMENT, read_header

_LENGTH = 8


def is_aligned(source: Path) -> bool:
    """Whether the data of a safetensors file starts at a page boundary.

    Raises:
        UserError: It is no safetensors file or cannot be read.
    """
    return read_header(source).data_start % DATA_ALIGNMENT == 0


def align(source: Path, target: Path) -> None:
    """Copy a safetensors file with spaces after its header, which the format allows.

    The same input gives the same bytes; the data is not touched.

    Raises:
        UserError: The source is no safetensors file or cannot be read.
    """
    start = read_header(source).data_start
    padding = -start % DATA_ALIGNMENT
    with source.open("rb") as read, target.open("wb") as write:
        read.seek(_LENGTH)
        write.write((start - _LENGTH + padding).to_bytes(_LENGTH, "little"))
        write.write(read.read(start - _LENGTH) + b" " * padding)
        shutil.copyfileobj(read, write, CHUNK)
