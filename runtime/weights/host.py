"""Weights in the host's memory: mapped where they lie, or read into memory of their own."""

from __future__ import annotations

import errno
import os
from mmap import mmap

from bentofn.runtime.weights.memory import cpus, mapped, populate, private
from bentofn.runtime.weights.opened import Opened, changed
from bentofn.runtime.weights.sharing import share

_PIECE = 8 << 20
_PATIENCE = 0.01


def map_file(file: Opened) -> tuple[mmap, int]:
    """Map a file and bring all of it in.

    Whoever shortens the file later, in place, ends the process that uses the tensors (SIGBUS), as
    with any mapping; who renames a new one over it does not.

    Returns:
        The memory, and the offset in it at which the tensors' bytes begin.

    Raises:
        UserError: The file was changed meanwhile.
        OSError: It cannot be read.
    """
    try:
        memory = mapped(file.descriptor, file.size)
        populate(memory)
    except (OSError, ValueError) as error:
        file.check()
        # The file is as long as it was, so that the page is there and the disk does not give it.
        code = getattr(error, "errno", None) or errno.EINVAL
        code = errno.EIO if code == errno.EFAULT else code
        raise OSError(code, os.strerror(code), str(file.path)) from error
    file.check()
    return memory, file.header.data_start


def read_file(file: Opened) -> tuple[mmap, int]:
    """Read a file into private memory of large pages, by several threads.

    Returns, raises:
        As :func:`map_file`.
    """
    memory, start = private(file.header.data_size)
    view = memoryview(memory)

    def piece(offset: int) -> None:
        length = min(_PIECE, file.header.data_size - offset)
        read_into(file, file.header.data_start + offset, view[start + offset :][:length])

    share(piece, range(0, file.header.data_size, _PIECE), cpus(), patience=_PATIENCE)
    view.release()
    file.check()
    return memory, start


def read_into(file: Opened, offset: int, target: memoryview, descriptor: int | None = None) -> None:
    """Fill memory with a part of a file, in as many reads as the kernel needs for it.

    Args:
        file: The file.
        offset: Where the part begins in the file.
        target: Where to write; its length is the part's.
        descriptor: Another descriptor of the file to read with.

    Raises:
        UserError: The file ends before.
        OSError: It cannot be read.
    """
    source = file.descriptor if descriptor is None else descriptor
    while target:
        count = os.preadv(source, [target], offset)
        if not count:
            raise changed(file.path)
        target, offset = target[count:], offset + count
