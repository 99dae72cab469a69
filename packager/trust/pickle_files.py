"""Finds pickles in files: as they are, compressed, in torch's and numpy's archives."""

from __future__ import annotations

import lzma
import re
import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from bentofn.packager.trust.pickles import PickleReport, read_pickles
from bentofn.packager.trust.unpacked import is_packed, open_unpacked

MAX_PLAIN = 1 << 30
"""Bytes of a member of an archive that is read."""

PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pck", ".p"})
TORCH = frozenset({".pt", ".pth", ".bin", ".ckpt", ".tar", ".t7", ".mar", ".model"})
_PACKED = (".gz", ".bz2", ".xz", ".z", ".lzma")

_START = re.compile(rb"\x80[\x02-\x05][(c)}\]\x80\x8a\x8c\x95XKJMNGh]")
"""PROTO, a protocol that has it, and an opcode that a pickle begins with."""
_NUMPY = b"\x93NUMPY"
_OBJECTS = re.compile(rb"'descr':[^}]*\|O")
_ZIP = b"PK\x03\x04"
_MEMBERS = 100_000

_ERRORS = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
)  # fmt: skip


def find_pickles(path: Path, name: str) -> PickleReport | None:
    """Read what the pickles of a file would import.

    Args:
        path: The file.
        name: Its name, whose ending counts.

    Returns:
        The report, or None for a file that holds none.
    """
    with path.open("rb") as file:
        return _find(cast("BinaryIO", file), PurePosixPath(name).suffix.lower())


def _find(file: BinaryIO, suffix: str, depth: int = 0) -> PickleReport | None:
    start = file.read(64)
    file.seek(0)
    expected = suffix in PICKLES
    try:
        if start.startswith(_ZIP):
            return _in_archive(file, depth)
        if start.startswith(_NUMPY):
            return _in_array(file)
        if _START.match(start):
            return read_pickles(file)
        if suffix in _PACKED and is_packed(start):
            expected = _START.match(open_unpacked(file).peek(8)) is not None
            file.seek(0)
    except _ERRORS:
        return PickleReport(broken=True) if expected or suffix in TORCH else None
    return read_pickles(file) if expected else None  # protocols 0 and 1 begin with anything


def _in_array(file: BinaryIO) -> PickleReport | None:
    """https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"""
    file.read(len(_NUMPY))
    major, _ = struct.unpack("BB", file.read(2))
    (length,) = struct.unpack("<H" if major == 1 else "<I", file.read(2 if major == 1 else 4))
    header = file.read(min(length, 1 << 20))
    return read_pickles(file) if _OBJECTS.search(header) else None


def _in_archive(file: BinaryIO, depth: int) -> PickleReport | None:
    """A zip archive, such as torch's and numpy's, or one with such a one in it."""
    found: list[PickleReport] = []
    with zipfile.ZipFile(file) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        if len(members) > _MEMBERS:
            return PickleReport(broken=True)
        for info in members:
            suffix = PurePosixPath(info.filename).suffix.lower()
            with archive.open(info) as member:
                start = member.read(8)
            if suffix not in PICKLES and not _is_candidate(start, suffix):
                continue
            if info.file_size > MAX_PLAIN or depth > 2:
                found.append(PickleReport(broken=True))
                continue
            with archive.open(info) as member:
                content = BytesIO(member.read(MAX_PLAIN + 1))
            inner = _find(content, suffix, depth + 1)
            if inner is not None:
                found.append(inner)
    return _joined(found)


def _is_candidate(start: bytes, suffix: str) -> bool:
    archive = start.startswith(_ZIP) and suffix in {*TORCH, ".npz", ".zip"}
    return archive or start.startswith(_NUMPY) or _START.match(start) is not None


def _joined(found: list[PickleReport]) -> PickleReport | None:
    if not found:
        return None
    return PickleReport(
        dangerous=tuple(sorted({name for each in found for name in each.dangerous})),
        other=tuple(sorted({name for each in found for name in each.other})),
        plain=tuple(sorted({name for each in found for name in each.plain})),
        broken=any(each.broken for each in found),
    )
