"""Memory for weights: files mapped, and private memory of large pages.

Calls that may wait for a disk go through ctypes: Python's own mmap would hold the GIL meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import threading
from collections.abc import Sequence
from functools import partial
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, PAGESIZE, PROT_READ, PROT_WRITE, mmap

from bentofn.runtime.weights.sharing import share

HUGE = 2 << 20
"""Bytes of a large page of x86-64 and, with pages of 4 KiB, of AArch64."""

_MAP_NORESERVE = 0x4000
_MADV_HUGEPAGE, _MADV_POPULATE_READ = 14, 22
"""Advice of madvise(2); Python does not name all of it. The last is of Linux 5.14, and gVisor has
it not (``Madvise`` in its pkg/sentry/syscalls/linux/sys_mmap.go)."""

_PIECE = 8 * HUGE
_PATIENCE = 0.01
"""Seconds after which more threads than one map pages: a small file is there by then."""

_BUFFER = 1 << 20
"""Bytes that are read at once where they are only to be cached; they stay in a core's own cache."""

_AROUND = 64 << 10
"""Bytes that one page fault maps. Source: fault_around_bytes of mm/memory.c, by default"""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]


def cpus() -> int:
    """How many threads of this process can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def address_of(memory: mmap) -> int:
    """The address of a mapping that may be written."""
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def mapped(descriptor: int, size: int) -> mmap:
    """A file's pages, not yet read; what is written to them stays in this process.

    Args:
        descriptor: The file.
        size: Bytes, not 0.

    Raises:
        OSError, ValueError: The file cannot be mapped.
    """
    # Linux places a mapping of 2 MiB or more so that the page cache's large pages fit into it.
    flags = MAP_PRIVATE | _MAP_NORESERVE
    return mmap(descriptor, size, flags=flags, prot=PROT_READ | PROT_WRITE)


def private(size: int) -> tuple[mmap, int]:
    """Memory of large pages, and the offset in it that a large page begins at.

    Python's own anonymous mappings are shared ones, which get no large pages.

    Args:
        size: Bytes from that offset on.

    Raises:
        OSError: There is no such memory.
    """
    memory = mmap(-1, size + HUGE, flags=MAP_PRIVATE | MAP_ANONYMOUS)
    address = address_of(memory)
    offset = -address % HUGE
    _libc.madvise(address + offset, -(-size // PAGESIZE) * PAGESIZE, _MADV_HUGEPAGE)
    return memory, offset


def populate(
    memory: mmap,
    descriptor: int,
    threads: int | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Have all of a mapped file read, and mapped where that pays.

    What the kernel has in large pages costs a fault for each when it is used, and no less here. In
    small ones a byte here and there is read: a fault maps the pages around it too, in half the
    time in which MADV_POPULATE_READ maps each by itself, and several threads do not wait for each
    other.

    Args:
        memory: The whole mapping.
        descriptor: The file.
        threads: How many work at most; by default as many as can run.
        stop: Leaves the rest as it is.

    Raises:
        OSError: A page cannot be read, or the file has become shorter (EFAULT).
    """
    size, threads = len(memory), threads or cpus()
    pieces = [range(start, min(start + _PIECE, size)) for start in range(0, size, _PIECE)]
    # Asking starts a read of what is missing, in small pages: not where all may be missing.
    ask = _is_cached(descriptor, pieces[0][-1])
    cached: list[range] = []
    missing: list[range] = []
    for piece in pieces:
        (cached if ask and _is_cached(descriptor, piece[-1]) else missing).append(piece)
    if missing:
        _libc.madvise(address_of(memory), size, _MADV_HUGEPAGE)
        read = partial(_read, memory, descriptor)
        share(read, missing, threads, patience=_PATIENCE, stop=stop)
    if cached and _are_small(memory, cached):
        share(lambda piece: _touch(memory, piece[::_AROUND]), cached, threads, stop=stop)


def _are_small(memory: mmap, pieces: Sequence[range]) -> bool:
    """Whether what is cached is mostly in small pages: each fault maps few of them then."""
    some = pieces[:: len(pieces) // 4 + 1]
    sample = [at for piece in some for at in piece[:HUGE:_AROUND]]
    before = _faults()
    _touch(memory, sample)
    return _faults() - before > len(sample) / 2


def _faults() -> int:
    """Page faults of this thread that read nothing from a disk."""
    if not hasattr(resource, "RUSAGE_THREAD"):  # of Linux alone
        return 0
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt


def _read(memory: mmap, descriptor: int, piece: range) -> None:
    start = address_of(memory) + piece.start
    while _libc.madvise(start, len(piece), _MADV_POPULATE_READ):
        code = ctypes.get_errno()
        if code == errno.EINVAL:  # an older kernel: pages are mapped when they are used
            _cache(descriptor, piece)
            return
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


def _cache(descriptor: int, piece: range) -> None:
    """Have a part of a file in the page cache; what is read goes nowhere else."""
    buffer = memoryview(bytearray(_BUFFER))
    at = piece.start
    while at < piece.stop:
        count = os.preadv(descriptor, [buffer[: piece.stop - at]], at)
        if not count:
            raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
        at += count


def _touch(memory: mmap, offsets: Sequence[int]) -> None:
    """Have the kernel read a byte at each: where there is none that ends no process.

    Args:
        memory: The whole mapping.
        offsets: At most 1024. Source: UIO_MAXIOV of Linux.

    Raises:
        OSError: One cannot be read (EFAULT).
    """
    if not hasattr(os, "memfd_create"):  # of Linux alone
        return
    sink = os.memfd_create("bentofn", os.MFD_CLOEXEC)
    try:
        with memoryview(memory) as view:
            if os.pwritev(sink, [view[at : at + 1] for at in offsets], 0) < len(offsets):
                raise OSError(errno.EFAULT, os.strerror(errno.EFAULT))
    finally:
        os.close(sink)


def _is_cached(descriptor: int, at: int) -> bool:
    """Whether a byte of a file can be read without waiting."""
    if not hasattr(os, "RWF_NOWAIT"):  # of Linux alone
        return False
    try:
        return os.preadv(descriptor, [bytearray(1)], at, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
    except OSError as error:
        return error.errno == errno.EOPNOTSUPP  # tmpfs is memory


class Residency:
    """What the page cache holds of a file, by mincore(2); nothing is read for it.

    Linux tells those only who own the file or may write it; to others it says that all is there
    (``can_do_mincore`` in mm/mincore.c).

    Args:
        descriptor: The file.
        size: Its bytes.
    """

    def __init__(self, descriptor: int, size: int) -> None:
        # What ctypes takes is writable.
        protection = PROT_READ | PROT_WRITE
        self._memory = mmap(descriptor, size, flags=MAP_PRIVATE | _MAP_NORESERVE, prot=protection)
        self._start = address_of(self._memory)
        self._size = size

    def has(self, offset: int, length: int) -> bool:
        """Whether a part can be read without waiting, by its first, middle and last page."""
        last = min(offset + length, self._size) - 1
        return all(self._is_in_core(at) for at in {offset, (offset + last) // 2, last})

    def _is_in_core(self, offset: int) -> bool:
        found = ctypes.c_ubyte(0)
        page = self._start + offset // PAGESIZE * PAGESIZE
        return not _libc.mincore(page, 1, ctypes.byref(found)) and bool(found.value & 1)
