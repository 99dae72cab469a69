"""Fill the memory that a restore reads at once, in a process that CRIU has made."""

from __future__ import annotations

import ctypes
import json
import os
from pathlib import Path

from bentofn.packager.snapshot.criu.filled import RAW, TABLE
from bentofn.runtime.weights.memory import cpus, private
from bentofn.runtime.weights.plan import Range, chunks
from bentofn.runtime.weights.sharing import share
from bentofn.runtime.weights.sources.local import LocalFile

_PIECE = 8 << 20
_THREADS = 12


class _Bytes(ctypes.Structure):
    """struct iovec of sys/uio.h."""

    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


_Parts = ctypes.POINTER(_Bytes)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.process_vm_writev.argtypes = [
    ctypes.c_int, _Parts, ctypes.c_ulong, _Parts, ctypes.c_ulong, ctypes.c_ulong
]  # fmt: skip
_libc.process_vm_writev.restype = ctypes.c_ssize_t


def is_filled(images: Path) -> bool:
    """Whether a process of these images has memory that is to be filled."""
    return (images / TABLE).exists()


def fill(images: Path, pid: int) -> None:
    """Fill the memory of a process that CRIU has made and not let run yet. Blocks.

    What the page cache has not is read past it.

    Args:
        images: What it is restored from.
        pid: It.

    Raises:
        UserError: The file was changed or removed, or cannot be read.
        OSError: There is no memory, or the process has ended.
    """
    ranges = [Range(*each) for each in json.loads((images / TABLE).read_bytes())["ranges"]]
    source = LocalFile(images / RAW)
    try:
        source.allow_direct()
        parts = (part for chunk in chunks(ranges, _PIECE) for part in chunk.ranges)
        threads = min(_THREADS, cpus())
        with _Buffers(threads) as buffers:
            share(lambda part: buffers.carry(source, part, pid), parts, threads)
        source.check()
    finally:
        source.close()


class _Buffers:
    """A piece of memory for each thread."""

    def __init__(self, threads: int) -> None:
        self._memory, start = private(threads * _PIECE)
        self._view = memoryview(self._memory)[start : start + threads * _PIECE]
        self._free = list(range(threads))

    def __enter__(self) -> _Buffers:
        return self

    def __exit__(self, *exception: object) -> None:
        self._view.release()

    def carry(self, source: LocalFile, part: Range, pid: int) -> None:
        """Read a part of a file and put it where it goes."""
        number = self._free.pop()
        try:
            room = self._view[number * _PIECE : (number + 1) * _PIECE]
            with room, room[: part.length] as target:
                source.read(part.offset, target, room)
                _write(pid, part.to, target)
        finally:
            self._free.append(number)


def _write(pid: int, address: int, data: memoryview) -> None:
    base = ctypes.addressof(ctypes.c_char.from_buffer(data))
    done = 0
    while done < len(data):
        left = len(data) - done
        ours, theirs = _Bytes(base + done, left), _Bytes(address + done, left)
        count = _libc.process_vm_writev(pid, ours, 1, theirs, 1, 0)
        if count <= 0:
            code = ctypes.get_errno()
            raise OSError(code, f"its memory cannot be written: {os.strerror(code)}")
        done += count
