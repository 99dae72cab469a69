"""Weights in the host's memory: mapped where they lie, or read into memory of their own."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from mmap import mmap

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.memory import cpus, mapped, populate, private
from bentofn.runtime.weights.plan import Range, chunks
from bentofn.runtime.weights.sharing import share
from bentofn.runtime.weights.sources.base import Source
from bentofn.runtime.weights.sources.files import FileSource

_PIECE = 8 << 20
_LOCAL_PATIENCE = 0.01
"""Seconds before more threads than one read a file of this machine: a small one is there then."""

_REMOTE_THREADS = 16
"""Ranges that are asked for at once: a connection gives less than the network."""


def map_file(file: FileSource) -> mmap:
    """Map a file and bring all of it in.

    Whoever shortens the file later, in place, ends the process that uses the tensors (SIGBUS), as
    with any mapping; who renames a new one over it does not.

    Raises:
        UserError: The file was changed meanwhile, or cannot be read.
    """
    try:
        memory = mapped(file.descriptor, file.size)
        populate(memory, file.descriptor)
    except (OSError, ValueError) as error:
        file.check()
        # The file is as long as it was, so that the page is there and the disk does not give it.
        code = getattr(error, "errno", None) or errno.EINVAL
        code = errno.EIO if code == errno.EFAULT else code
        raise UserError(f"Cannot read {file.name}: {os.strerror(code)}.") from error
    file.check()
    return memory


def read_ranges(source: Source, ranges: Iterable[Range], size: int) -> tuple[mmap, int]:
    """Read parts of a file into private memory of large pages, by several threads.

    Args:
        source: The file.
        ranges: The parts.
        size: Bytes of the memory.

    Returns:
        The memory, and the offset in it at which the buffer begins.

    Raises:
        UserError: The file was changed meanwhile, or cannot be read.
        OSError: There is no such memory.
    """
    memory, start = private(size)
    with memoryview(memory) as view, view[start:] as buffer:

        def read(part: Range) -> None:
            with buffer[part.to : part.to + part.length] as target:
                source.read(part.offset, target)

        is_local = isinstance(source, FileSource)
        parts = (part for chunk in chunks(ranges, _PIECE) for part in chunk.ranges)
        threads, patience = (cpus(), _LOCAL_PATIENCE) if is_local else (_REMOTE_THREADS, 0.0)
        share(read, parts, threads, patience=patience)
    source.check()
    return memory, start
