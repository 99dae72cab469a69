"""A file on a disk that several threads read at once."""

from __future__ import annotations

import os
from mmap import PAGESIZE
from pathlib import Path

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.memory import Residency
from bentofn.runtime.weights.sources.base import changed


class LocalFile:
    """An open file.

    What the page cache lacks of it is read past the page cache where the caller has room for it.

    Args:
        path: The file.

    Raises:
        UserError: It cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._direct: int | None = None
        self._residency: Residency | None = None
        try:
            self.descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"Cannot read {self.path}: {error.strerror}.") from error
        self.identity = identity_of(self.descriptor)

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.identity[2]

    def allow_direct(self) -> None:
        """From here on parts that the page cache lacks are read past it, where that can be."""
        try:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT
            self._residency = Residency(self.descriptor, self.size)
            self._direct = os.open(f"/proc/self/fd/{self.descriptor}", flags)
        except (AttributeError, OSError, ValueError):  # no Linux, or a file system that cannot
            self._residency = None

    def read(self, offset: int, target: memoryview, room: memoryview | None = None) -> None:
        """Fill memory with a part of the file, as :meth:`Source.read` does."""
        done = 0
        if room is not None and self._direct is not None and not self._is_cached(offset, target):
            done = self._read_direct(offset, len(target), room)
        while done < len(target):
            try:
                count = os.preadv(self.descriptor, [target[done:]], offset + done)
            except OSError as error:
                raise UserError(f"Cannot read {self.path}: {error.strerror}.") from error
            if not count:
                raise changed(self.path)
            done += count

    def check(self) -> None:
        """Check that nobody changed it since it was opened.

        Raises:
            UserError: Somebody did.
        """
        if identity_of(self.descriptor) != self.identity:
            raise changed(self.path)

    def close(self) -> None:
        """Give back what it holds."""
        os.close(self.descriptor)
        if self._direct is not None:
            os.close(self._direct)
        self._residency = None

    def _is_cached(self, offset: int, target: memoryview) -> bool:
        return self._residency is None or self._residency.has(offset, len(target))

    def _read_direct(self, offset: int, length: int, room: memoryview) -> int:
        """How many bytes a read past the page cache gave; the rest goes through it."""
        whole = -(-length // PAGESIZE) * PAGESIZE
        if self._direct is None or offset % PAGESIZE or len(room) < whole:
            return 0
        try:
            return min(os.preadv(self._direct, [room[:whole]], offset), length)
        except OSError:  # the disk wants other alignments; what else it may be, the next read says
            return 0


def identity_of(descriptor: int) -> tuple[int, int, int, int]:
    """Device, inode, bytes and time of change (ns) of an open file."""
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
