"""Programs of torch: TorchScript and torch.export, run by torch's own interpreter.

Both are zip archives. What Python would run is only in their pickles, so those may name nothing
but tensors and the program's own classes.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bentofn.packager.modelstore.formats.base import Checked, not_whole
from bentofn.packager.modelstore.policy import Policy
from bentofn.packager.trust.pickles import read_pickles
from bentofn.runtime.errors import UserError

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_SUFFIXES = (".pt", ".pth", ".ts", ".torchscript", ".jit", ".ptl", ".bin", ".pt2")
_NESTED_ZIPS = 2

# What torch's unpicklers make of a program. Source: torch/csrc/jit/serialization/unpickler.cpp and
# torch/_weights_only_unpickler.py of https://github.com/pytorch/pytorch
_ALLOWED = re.compile(
    r"__torch__\..+|collections\.OrderedDict"
    r"|torch\.(\w+Storage|storage\.(Untyped|Typed)Storage|Size|device)"
    r"|torch\.(bool|u?int\d+|float\d+\w*|bfloat16|complex\d+|q\w+|strided|per_\w+_affine)"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|parameter|qtensor|sparse_tensor|meta_tensor_no_storage)"
    r"|torch\.serialization\._get_layout|torch\.Tensor|torch\.nn\.parameter\.Parameter"
    r"|torch\.jit\._pickle\.(restore_type_tag|build_\w+)"
)


class TorchScript:
    """What ``torch.jit.save`` writes."""

    name = "torchscript"
    mapped = False

    def detects(self, source: Path, start: bytes) -> bool:
        names = _members(source, start)
        return any(name.endswith("/constants.pkl") for name in names) and any(
            "/code/" in name for name in names
        )

    def check(self, source: Path, policy: Policy) -> Checked:
        return _check(source, "TorchScript program")


class TorchExport:
    """What ``torch.export.save`` writes."""

    name = "torch.export"
    mapped = False

    def detects(self, source: Path, start: bytes) -> bool:
        if source.suffix.lower() == ".pt2":
            return True
        return any(name.endswith("/archive_format") for name in _members(source, start))

    def check(self, source: Path, policy: Policy) -> Checked:
        return _check(source, "torch.export program")


def _members(source: Path, start: bytes) -> list[str]:
    if not start.startswith(_ZIP) or source.suffix.lower() not in _SUFFIXES:
        return []
    try:
        with zipfile.ZipFile(source) as archive:
            return archive.namelist()
    except zipfile.BadZipFile:
        return []


def _check(source: Path, what: str) -> Checked:
    try:
        with source.open("rb") as file:
            names = sorted(set(_globals(file, 0)))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise not_whole(source, what, str(error)) from error
    wrong = [name for name in names if not _ALLOWED.fullmatch(name)]
    if wrong:
        raise UserError(
            f"{source} is refused: its pickles want the Python object {wrong[0]}, which is no part "
            f"of a {what}; save it again from a model that you trust."
        )
    return Checked()


def _globals(file: IO[bytes], depth: int) -> Iterator[str]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            with archive.open(member) as content:
                start = content.read(4)
            if start == _ZIP and depth < _NESTED_ZIPS:
                with archive.open(member) as content:
                    yield from _globals(content, depth + 1)
            elif start.startswith(_PICKLE) or member.filename.endswith(".pkl"):
                with archive.open(member) as content:
                    found = read_pickles(content)
                if found.broken and member.filename.endswith(".pkl"):
                    raise zipfile.BadZipFile(f"{member.filename} is damaged")
                yield from found.names
