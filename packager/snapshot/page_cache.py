"""What the kernel's page cache holds of a file, and how it takes one in large pages.

Calls that wait for a disk go through ctypes: Python's own mmap would hold the GIL meanwhile, and
with it a platform's event loop.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import MAP_PRIVATE, PAGESIZE, PROT_READ, PROT_WRITE, mmap
from pathlib import Path

from bentofn.packager.snapshot.criu.layout import HUGE

_MADV_RANDOM, _MADV_HUGEPAGE, _MADV_POPULATE_READ = 1, 14, 22
"""Advice of madvise(2); Python does not name all of it (the last is of Linux 5.14)."""

ON_DEMAND = ("fuse",)
"""File systems whose files may be fetched only when they are read, as those of lazy bentos."""

REMOTE = (*ON_DEMAND, "9p", "afs", "ceph", "cifs", "gpfs", "lustre", "nfs", "smb", "virtiofs")
"""File systems of which what the page cache drops is fetched over a network again."""

_RESIDENT = re.compile(rb"[^\x00]+")
"""Runs of resident pages; the kernel sets the lowest bit, and no other."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]


def populate(descriptor: int, offset: int, length: int, *, exactly: bool = False) -> bool:
    """Bring a part of a file into the page cache in blocks of 2 MiB, without copying it.

    The advice for huge pages makes the kernel read such a block at once and keep it as one, which a
    read would not do. A process that maps it then faults once for 2 MiB, not 512 times.

    Args:
        descriptor: The file.
        offset: Bytes, a multiple of 2 MiB.
        length: Bytes; what lies behind the file's end is left out.
        exactly: Whether to keep the kernel from reading the next block too.

    Returns:
        Whether the kernel could.

    Raises:
        OSError, ValueError: The file cannot be mapped.
    """
    length = min(length, os.fstat(descriptor).st_size - offset)
    if length <= 0:
        return True
    with _mapped(descriptor, offset, length) as address:
        if exactly:
            _libc.madvise(address, length, _MADV_RANDOM)
        _libc.madvise(address, length, _MADV_HUGEPAGE)
        return not _libc.madvise(address, length, _MADV_POPULATE_READ)


def devices_of(kinds: tuple[str, ...]) -> frozenset[int]:
    """Device numbers of the file systems that are mounted here and whose types begin so.

    Source: proc_pid_mountinfo(5); the file system's type stands after the field ``-``.
    """
    devices = set()
    for line in os.fsdecode(Path("/proc/self/mountinfo").read_bytes()).splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith(kinds):
            major, minor = before.split()[2].split(":")
            devices.add(os.makedev(int(major), int(minor)))
    return frozenset(devices)


def regroup(descriptor: int) -> None:
    """Have the page cache keep in blocks of 2 MiB what it holds of a file in small pages.

    What page faults brought in is in small pages, and each process that maps them faults on each.
    Blocks of which it does not hold everything stay as they are, so that nothing more is read, and
    so do those that a process maps. Nothing is written; where the kernel cannot bring back what it
    drops, or does not say what it holds, everything stays.

    Args:
        descriptor: The file.

    Raises:
        OSError, ValueError: The file cannot be mapped.
    """
    if not _is_told(descriptor):
        return
    for start, end in list(cached_runs(descriptor, 0, os.fstat(descriptor).st_size)):
        first, last = -(-start // HUGE) * HUGE, end // HUGE * HUGE
        if first < last:
            if not populate(descriptor, first, PAGESIZE):  # a page that is there; since Linux 5.14
                return
            os.posix_fadvise(descriptor, first, last - first, os.POSIX_FADV_DONTNEED)
            populate(descriptor, first, last - first, exactly=True)


def is_cached(descriptor: int, offset: int) -> bool:
    """Whether a byte of a file can be read without waiting for a disk.

    Raises:
        OSError: The file cannot be read.
    """
    try:
        os.preadv(descriptor, [bytearray(1)], offset, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        return _is_in_core(descriptor, offset)
    return True


def cached_runs(descriptor: int, offset: int, length: int) -> Iterator[tuple[int, int]]:
    """The parts of a file that the page cache holds, by mincore(2); nothing is read for it.

    Args:
        descriptor: The file.
        offset: Bytes, a multiple of the page size.
        length: Bytes; what lies behind the file's end is left out.

    Yields:
        Start and end in bytes, sorted and apart.

    Raises:
        OSError, ValueError: The file cannot be mapped.
    """
    length = min(length, os.fstat(descriptor).st_size - offset)
    if length <= 0:
        return
    resident = (ctypes.c_ubyte * -(-length // PAGESIZE))()
    with _mapped(descriptor, offset, length) as address:
        if _libc.mincore(address, length, resident):
            return
    for run in _RESIDENT.finditer(bytes(resident)):
        yield offset + run.start() * PAGESIZE, offset + run.end() * PAGESIZE


def _is_told(descriptor: int) -> bool:
    """Whether mincore(2) says of a file what is true: to others than those that may write it, all
    of it is in memory. Source: can_do_mincore of Linux's mm/mincore.c"""
    owner = os.fstat(descriptor).st_uid
    path = f"/proc/self/fd/{descriptor}"
    return owner == os.geteuid() or os.access(path, os.W_OK, effective_ids=True)


def _is_in_core(descriptor: int, offset: int) -> bool:
    """The same where a file system (tmpfs) cannot read without waiting; ten times slower."""
    start = offset // PAGESIZE * PAGESIZE
    if offset >= os.fstat(descriptor).st_size:
        return True
    resident = ctypes.c_ubyte(0)
    with _mapped(descriptor, start, 1) as address:
        failed = _libc.mincore(address, PAGESIZE, ctypes.byref(resident))
    return not failed and bool(resident.value & 1)


@contextmanager
def _mapped(descriptor: int, offset: int, length: int) -> Iterator[int]:
    """The address at which a part of a file is mapped."""
    writable = PROT_READ | PROT_WRITE  # of a private copy: what ctypes wants
    with mmap(descriptor, length, flags=MAP_PRIVATE, prot=writable, offset=offset) as mapping:
        first = ctypes.c_char.from_buffer(mapping)
        try:
            yield ctypes.addressof(first)
        finally:
            del first
