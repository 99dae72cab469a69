"""Zip archives as Lambda unpacks them: the same entries give the same bytes.

Source: https://docs.aws.amazon.com/lambda/latest/dg/python-package.html and
https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import shutil
import stat
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from bentofn.packager.files import CHUNK
from bentofn.runtime.errors import UserError

LEVEL = 6
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_PACKED = (".safetensors", ".gguf", ".npy", ".npz", ".gz", ".zst", ".zip", ".whl", ".png", ".jpg")
"""Files that deflating makes little smaller and uploads later."""


@dataclass(frozen=True)
class ZipEntry:
    """A file or a link.

    Args:
        path: Its path in the archive.
        content: What it holds, read once; of a link its target.
        size: Bytes of it.
        mode: Its permissions.
        is_link: Whether it is a symbolic link.
    """

    path: str
    content: BinaryIO
    size: int
    mode: int = 0o644
    is_link: bool = False


def write_zip(entries: Iterable[ZipEntry], out: BinaryIO) -> int:
    """Write an archive.

    Args:
        entries: What goes in, in the order of the archive.
        out: Where to write; it can be read and sought.

    Returns:
        Bytes of all files.

    Raises:
        UserError: Two entries have one path.
    """
    total = 0
    seen: set[str] = set()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for entry in entries:
            if entry.path in seen:
                raise UserError(f"{entry.path} stands twice in the bento's layers; build it again.")
            seen.add(entry.path)
            total += entry.size
            with archive.open(_info(entry), "w") as target:
                shutil.copyfileobj(entry.content, target, CHUNK)
    return total


def _info(entry: ZipEntry) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(entry.path, _EPOCH)
    info.create_system = _UNIX
    kind = stat.S_IFLNK if entry.is_link else stat.S_IFREG
    info.external_attr = (kind | entry.mode) << 16
    info.file_size = entry.size
    stored = entry.is_link or entry.path.endswith(_PACKED)
    info.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    return info
