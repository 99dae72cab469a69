"""The files that are kept: mapped, pinned, the least recently used given up for others."""

from __future__ import annotations

import ctypes
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import MAP_SHARED, PAGESIZE, PROT_READ

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import CudaError

Identity = tuple[int, int, int, int]
"""Device, inode, bytes and time of change: another content is another file."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_longlong]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_FAILED = ctypes.c_void_p(-1).value


@dataclass
class Kept:
    """A file.

    Args:
        address: Where it is mapped.
        size: Bytes of the mapping.
        users: How many copies are under way.
    """

    address: int
    size: int
    users: int = 0


class KeptFiles:
    """Pinned files, up to so many bytes.

    Args:
        context: Any GPU's; pinned memory serves them all.
        budget: Bytes.
    """

    def __init__(self, context: Context, budget: int) -> None:
        self._context = context
        self._budget = budget
        self._files: OrderedDict[Identity, Kept] = OrderedDict()
        self._lock = threading.Lock()
        self._pinning = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that are pinned."""
        with self._lock:
            return sum(kept.size for kept in self._files.values())

    @contextmanager
    def using(self, identity: Identity) -> Iterator[Kept | None]:
        """A file that stays while the block runs; None where it is not kept."""
        with self._lock:
            kept = self._files.get(identity)
            if kept is not None:
                kept.users += 1
                self._files.move_to_end(identity)
        try:
            yield kept
        finally:
            if kept is not None:
                with self._lock:
                    kept.users -= 1

    def keep(self, descriptor: int, identity: Identity) -> bool:
        """Map and pin a file, which takes a second for a few gigabytes.

        Returns:
            Whether it is kept now: there is room for it, and the driver takes it.
        """
        size = -(-identity[2] // PAGESIZE) * PAGESIZE
        with self._pinning:
            with self._lock:
                if identity in self._files:
                    return True
            if not size or not self._make_room(size):
                return False
            address = _libc.mmap(None, size, PROT_READ, MAP_SHARED, descriptor, 0)
            if address == _FAILED:
                return False
            try:
                with self._context:
                    self._context.register(address, size, read_only=True)
            except CudaError:
                _libc.munmap(address, size)
                return False
            with self._lock:
                self._files[identity] = Kept(address, size)
            return True

    def close(self) -> None:
        """Give up all files that nobody uses."""
        with self._pinning:
            self._make_room(self._budget)

    def _make_room(self, size: int) -> bool:
        if size > self._budget:
            return False
        while True:
            with self._lock:
                if sum(kept.size for kept in self._files.values()) + size <= self._budget:
                    return True
                idle = (identity for identity, kept in self._files.items() if not kept.users)
                oldest = next(idle, None)
                if oldest is None:
                    return False
                kept = self._files.pop(oldest)
            with self._context:
                self._context.unregister(kept.address)
            _libc.munmap(kept.address, kept.size)
