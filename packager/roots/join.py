"""Join the parts of a model's file."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from bentofn.packager.files import CHUNK, writing
from bentofn.packager.parts import ModelLayer
from bentofn.packager.store import Store
from bentofn.packager.store.blobs import hash_stream
from bentofn.runtime.errors import UserError

_WORKERS = 4
_CANNOT_COPY = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}


def join(store: Store, parts: Sequence[ModelLayer], target: Path) -> None:
    """Write a file from its parts, each checked against its digest.

    The kernel copies; where the file system can (btrfs, XFS) and a part is aligned, the file shares
    its blocks with the part and nothing is copied.

    Args:
        store: The store.
        parts: The parts, as :func:`bentofn.packager.parts.files_of` gives them.
        target: The file to make; where this fails it is not whole.

    Raises:
        UserError: A part is damaged or missing (it is then removed from the store), or the disk is
            full.
    """
    # Here, because its import costs more than finding that nothing needs to be joined.
    from concurrent.futures import ThreadPoolExecutor

    with writing(target.parent), target.open("xb") as file:
        pool = ThreadPoolExecutor(min(_WORKERS, len(parts)))
        try:
            for _ in pool.map(lambda part: _put(store, part, file.fileno()), parts):
                pass
        finally:
            # After a failure or Ctrl-C the rest need not be copied.
            pool.shutdown(cancel_futures=True)


def verify(store: Store, part: ModelLayer) -> None:
    """Check the bytes of a part.

    Raises:
        UserError: It is damaged or missing; it is then removed from the store.
    """
    try:
        with store.blob_path(part.blob.digest).open("rb", buffering=CHUNK) as blob:
            found, _ = hash_stream(blob)
    except FileNotFoundError:
        found = ""
    if found != part.blob.digest:
        store.blobs.remove(part.blob.digest)
        raise UserError(
            f"The model file {part.path!r} ({part.blob.digest}) is damaged or missing in "
            f"{store.path}; import the model again to write it anew."
        )


def _put(store: Store, part: ModelLayer, file: int) -> None:
    verify(store, part)
    with store.blob_path(part.blob.digest).open("rb") as blob:
        _copy(blob.fileno(), file, part.offset, part.blob.size)


def _copy(source: int, target: int, offset: int, size: int) -> None:
    done = 0
    while done < size:
        copied = _copy_in_kernel(source, target, size - done, done, offset + done)
        if copied is None:
            chunk = os.pread(source, min(CHUNK, size - done), done)
            copied = os.pwrite(target, chunk, offset + done)
        if not copied:
            raise UserError("A part of a model became shorter while it was copied; try again.")
        done += copied


def _copy_in_kernel(source: int, target: int, size: int, start: int, offset: int) -> int | None:
    """Bytes copied; None where the kernel cannot."""
    if not hasattr(os, "copy_file_range"):
        return None
    try:
        return os.copy_file_range(source, target, size, start, offset)
    except OSError as error:
        if error.errno in _CANNOT_COPY:
            return None
        raise
