"""A safetensors file that is open, and must stay what it is while it is read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import SafetensorsHeader, read_header_from

_Identity = tuple[int, int, int, int]


@dataclass(frozen=True)
class Opened:
    """An open file.

    Args:
        path: Its name, for messages.
        descriptor: The file.
        header: What it holds.
        identity: Device, inode, bytes and time of change when it was opened.
    """

    path: Path
    descriptor: int
    header: SafetensorsHeader
    identity: _Identity

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.identity[2]

    def check(self) -> None:
        """Check that nobody changed the file.

        Raises:
            UserError: Somebody did.
        """
        if _identity(self.descriptor) != self.identity:
            raise changed(self.path)


def changed(path: object) -> UserError:
    """The error of a file that is not any more what it was."""
    return UserError(
        f"{path} was changed while it was read; load it again, and replace such files by renaming "
        "the new one."
    )


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[Opened]:
    """Open a file and read its header.

    Raises:
        UserError: It cannot be read, or is no whole safetensors file.
    """
    name = Path(path)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(f"Cannot read {name}: {error.strerror}.") from error
    try:
        identity = _identity(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            header = read_header_from(file, name, identity[2])
        yield Opened(name, descriptor, header, identity)
    finally:
        os.close(descriptor)


def _identity(descriptor: int) -> _Identity:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
