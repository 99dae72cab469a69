"""Archives that BentoML exports, ``.bento`` and ``.bentomodel``: a compressed tar of a folder."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO

from bentofn.packager.files import CHUNK, make_directory, writing
from bentofn.packager.layers.files import check_path
from bentofn.packager.layers.stream import BoundedHeader
from bentofn.packager.store.blobs import open_source
from bentofn.runtime.errors import UserError

_MOST_GROWTH = 1000
_ALWAYS_ALLOWED = 1 << 30
"""Bytes that any archive may unpack to; a larger one at most ``_MOST_GROWTH`` times its size."""

_LOOKED_AT = 20
_BROKEN = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError)


def holds(source: Path, name: str) -> bool:
    """Whether a file is an archive that has a file of a name at its top, near its start."""
    try:
        with open_source(source) as file, _open(file) as archive:
            members = (member for member, _ in zip(archive, range(_LOOKED_AT), strict=False))
            return any(_path(member) == name for member in members)
    except (*_BROKEN, OSError):
        return False


def unpack(source: Path, target: Path) -> Path:
    """Unpack an archive into an existing folder.

    Returns:
        The folder.

    Raises:
        UserError: It is damaged, holds links or a path that leads out, unpacks to far more than
            it is large, or the disk is full.
    """
    left = max(_ALWAYS_ALLOWED, _MOST_GROWTH * source.stat().st_size)
    try:
        with open_source(source) as file, _open(file) as archive:
            for member in archive:
                path = _path(member)
                if path == "" or member.isdir():
                    continue
                left -= member.size
                if left < 0:
                    raise _refused(source, "it unpacks to far more than it is large")
                if not member.isreg():
                    raise _refused(source, f"its entry {member.name!r} is no file")
                _write(archive, member, target.joinpath(*_inside(source, path)))
    except _BROKEN as error:
        raise UserError(f"{source} is damaged ({error}); export or copy it again.") from error
    return target


def _open(file: BinaryIO) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode="r:*", tarinfo=BoundedHeader)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    make_directory(target.parent)
    content = archive.extractfile(member)
    assert content is not None
    with writing(target.parent), content, target.open("xb") as file:
        shutil.copyfileobj(content, file, CHUNK)


def _path(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./") if member.name != "." else ""


def _inside(source: Path, path: str) -> tuple[str, ...]:
    try:
        return check_path(path)
    except ValueError:
        raise _refused(source, f"its entry {path!r} leads out of it") from None


def _refused(source: Path, why: str) -> UserError:
    return UserError(f"{source} is refused: {why}.")
