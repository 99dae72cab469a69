"""A GPU's primary context, which torch uses too, and what the loader asks of the driver in it."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from bentofn.runtime.cuda.library import Library

_PORTABLE, _READ_ONLY = 0x01, 0x08
"""CU_MEMHOSTREGISTER_PORTABLE (for all contexts) and CU_MEMHOSTREGISTER_READ_ONLY."""

_NON_BLOCKING = 0x01
"""CU_STREAM_NON_BLOCKING: does not wait for the default stream."""

_BLOCKING_SYNC, _DISABLE_TIMING = 0x01, 0x02
"""CU_EVENT_BLOCKING_SYNC (who waits sleeps; the cores read meanwhile) and without a time."""

_LAZY_PEER_ACCESS = 0x01
"""CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS, which the call demands."""


class IpcHandle(ctypes.Structure):
    """CUipcMemHandle: names an allocation to another process."""

    _fields_ = (("reserved", ctypes.c_char * 64),)


class Context:
    """The primary context of a GPU, kept until the process ends.

    Args:
        library: The driver's.
        number: The GPU's, among those that ``CUDA_VISIBLE_DEVICES`` leaves.

    Raises:
        CudaError: There is no such GPU, or it has no room for a context.
    """

    def __init__(self, library: Library, number: int) -> None:
        self.library = library
        self.number = number
        self._context = ctypes.c_void_p()
        device = ctypes.c_int()
        library.call("cuInit", ctypes.c_uint(0))
        library.call("cuDeviceGet", ctypes.byref(device), number)
        library.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)

    def __enter__(self) -> Context:
        """Make it this thread's."""
        self.library.call("cuCtxPushCurrent_v2", self._context)
        return self

    def __exit__(self, *_: object) -> None:
        self.library.call("cuCtxPopCurrent_v2", ctypes.byref(ctypes.c_void_p()))

    def register(self, address: int, size: int, *, read_only: bool = False) -> None:
        """Pin host memory, so that the GPU reads it without a copy between.

        Args:
            address: Where it begins, at a page.
            size: Bytes.
            read_only: Whether this process cannot write it, as the pages of a file.

        Raises:
            CudaError: It cannot be.
        """
        flags = _PORTABLE | (_READ_ONLY if read_only else 0)
        self.library.call(
            "cuMemHostRegister_v2",
            ctypes.c_void_p(address),
            ctypes.c_size_t(size),
            ctypes.c_uint(flags),
        )

    def unregister(self, address: int) -> None:
        """Take back :meth:`register`.

        Raises:
            CudaError: It was not registered.
        """
        self.library.call("cuMemHostUnregister", ctypes.c_void_p(address))

    def free_memory(self) -> tuple[int, int]:
        """Bytes of the GPU's memory that are free, and all."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        with self:
            self.library.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value, total.value

    def allocation(self, address: int) -> tuple[int, int]:
        """The allocation on the GPU that an address is in: where it begins, and its bytes.

        Raises:
            CudaError: There is none.
        """
        start, size = ctypes.c_uint64(), ctypes.c_size_t()
        self.library.call(
            "cuMemGetAddressRange_v2",
            ctypes.byref(start),
            ctypes.byref(size),
            ctypes.c_uint64(address),
        )
        return start.value, size.value

    def export(self, address: int) -> tuple[bytes, int]:
        """Name memory of the GPU to another process.

        Args:
            address: Somewhere in an allocation.

        Returns:
            The allocation's handle, and the address' offset in it.

        Raises:
            CudaError: Such memory cannot be shared.
        """
        start, _ = self.allocation(address)
        handle = IpcHandle()
        self.library.call("cuIpcGetMemHandle", ctypes.byref(handle), ctypes.c_uint64(start))
        return bytes(handle), address - start

    def open_exported(self, handle: bytes) -> int:
        """The address here of memory that another process named.

        Raises:
            CudaError: It is gone, or of another GPU.
        """
        address = ctypes.c_uint64()
        self.library.call(
            "cuIpcOpenMemHandle_v2",
            ctypes.byref(address),
            IpcHandle.from_buffer_copy(handle),
            ctypes.c_uint(_LAZY_PEER_ACCESS),
        )
        return address.value

    def close_exported(self, address: int) -> None:
        """Take back :meth:`open_exported`."""
        self.library.call("cuIpcCloseMemHandle", ctypes.c_uint64(address))


@dataclass(frozen=True)
class Stream:
    """What the GPU does in order.

    Args:
        context: Where it is.
        handle: The driver's.
    """

    context: Context
    handle: ctypes.c_void_p

    @classmethod
    def create(cls, context: Context) -> Stream:
        """Make one; the context is the thread's."""
        handle = ctypes.c_void_p()
        context.library.call("cuStreamCreate", ctypes.byref(handle), ctypes.c_uint(_NON_BLOCKING))
        return cls(context, handle)

    def copy_in(self, to: int, source: int, size: int) -> None:
        """Copy host memory to the GPU, some time from now.

        Args:
            to: Address on the GPU.
            source: Address in host memory, which stays as it is until the copy is made.
            size: Bytes.

        Raises:
            CudaError: The driver refuses, or an earlier copy failed.
        """
        self.context.library.call(
            "cuMemcpyHtoDAsync_v2",
            ctypes.c_uint64(to),
            ctypes.c_void_p(source),
            ctypes.c_size_t(size),
            self.handle,
        )

    def synchronize(self) -> None:
        """Wait until all is done.

        Raises:
            CudaError: Something failed.
        """
        self.context.library.call("cuStreamSynchronize", self.handle)

    def destroy(self) -> None:
        """Give it back."""
        self.context.library.call("cuStreamDestroy_v2", self.handle)


@dataclass(frozen=True)
class Event:
    """A point in a stream that can be waited for.

    Args:
        context: Where it is.
        handle: The driver's.
    """

    context: Context
    handle: ctypes.c_void_p

    @classmethod
    def create(cls, context: Context) -> Event:
        """Make one; the context is the thread's."""
        handle, flags = ctypes.c_void_p(), _BLOCKING_SYNC | _DISABLE_TIMING
        context.library.call("cuEventCreate", ctypes.byref(handle), ctypes.c_uint(flags))
        return cls(context, handle)

    def record(self, stream: Stream) -> None:
        """Put it behind what the stream was asked for."""
        self.context.library.call("cuEventRecord", self.handle, stream.handle)

    def synchronize(self) -> None:
        """Wait until the GPU has come to it; at once where it was never recorded.

        Raises:
            CudaError: Something before it failed.
        """
        self.context.library.call("cuEventSynchronize", self.handle)

    def destroy(self) -> None:
        """Give it back."""
        self.context.library.call("cuEventDestroy_v2", self.handle)
