"""The files that are kept: mapped and pinned, or copied where the driver pins no mapping."""

from __future__ import annotations

import ctypes
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from mmap import MAP_SHARED, PAGESIZE, PROT_READ, mmap

from bentofn.runtime.cuda.context import Context
from bentofn.runtime.cuda.library import CudaError
from bentofn.runtime.weights.memory import address_of, cpus, private
from bentofn.runtime.weights.sharing import share
from bentofn.runtime.weights.sources.local import identity_of

Identity = tuple[int, int, int, int]
"""Device, inode, bytes and time of change: another content is another file."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *(ctypes.c_int,) * 3, ctypes.c_longlong]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_PIECE = 16 << 20
_FAILED = ctypes.c_void_p(-1).value


@dataclass
class Kept:
    """A file.

    Args:
        address: Where its bytes are.
        size: How many, in whole pages.
        copy: The memory, where it is not the file's own.
        users: How many copies are under way.
    """

    address: int
    size: int
    copy: mmap | None = None
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
            kept = self._mapped(descriptor, size) or self._copied(descriptor, size)
            if kept is None:
                return False
            if identity_of(descriptor) != identity:  # what was copied may be half of each
                self._give_up(kept)
                return False
            with self._lock:
                self._files[identity] = kept
            return True

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
            self._give_up(kept)

    def _mapped(self, descriptor: int, size: int) -> Kept | None:
        address = _libc.mmap(None, size, PROT_READ, MAP_SHARED, descriptor, 0)
        if address == _FAILED:
            return None
        try:
            with self._context:
                self._context.register(address, size, read_only=True)
        except CudaError:
            _libc.munmap(address, size)
            return None
        return Kept(address, size)

    def _copied(self, descriptor: int, size: int) -> Kept | None:
        try:
            memory, offset = private(size)
            with memoryview(memory) as view, view[offset : offset + size] as target:
                _read(descriptor, target)
            address = address_of(memory) + offset
            with self._context:
                self._context.register(address, size)
        except (CudaError, OSError):
            return None
        return Kept(address, size, memory)

    def _give_up(self, kept: Kept) -> None:
        with self._context:
            self._context.unregister(kept.address)
        if kept.copy is None:
            _libc.munmap(kept.address, kept.size)


def _read(descriptor: int, target: memoryview) -> None:
    """Fill memory with a file; what is behind its end stays."""

    def piece(offset: int) -> None:
        end = min(offset + _PIECE, len(target))
        while offset < end:
            count = os.preadv(descriptor, [target[offset:end]], offset)
            if not count:
                return
            offset += count

    share(piece, range(0, len(target), _PIECE), cpus())
