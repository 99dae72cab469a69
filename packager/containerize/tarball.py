"""Entries of layers that are written a piece at a time: the same entry gives the same bytes."""

from __future__ import annotations

import tarfile

BLOCK = 512
END = b"\0" * (20 * BLOCK)
"""What ends an archive; a record of it, as tar pads to."""


def header(info: tarfile.TarInfo) -> bytes:
    """The header of an entry."""
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """What follows so many bytes of content up to the next block."""
    return b"\0" * (-size % BLOCK)


def folder(path: str, *, mode: int = 0o755, owner: int = 0) -> bytes:
    """The entry of a folder."""
    info = tarfile.TarInfo(path)
    info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, owner, owner
    return header(info)


def above(path: str) -> list[str]:
    """The folders above a path, the highest first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: length + 1]) for length in range(len(parts))]


def folders_above(path: str) -> bytes:
    """The entries of all folders above a path, the highest first."""
    return b"".join(folder(each) for each in above(path))


def file_header(path: str, size: int, mode: int = 0o644) -> bytes:
    """The header of a file of root's, whose content and padding follow."""
    info = tarfile.TarInfo(path)
    info.size, info.mode = size, mode
    return header(info)


def file(path: str, data: bytes, mode: int = 0o644) -> bytes:
    """The whole entry of a small file of root's."""
    return file_header(path, len(data), mode) + data + padding(len(data))
