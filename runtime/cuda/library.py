"""The driver's library (libcuda) and its errors.

Source: CUDA Driver API, https://docs.nvidia.com/cuda/cuda-driver-api/
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

from bentofn.runtime.errors import UserError

VARIABLE = "BENTOFN_LIBCUDA"
"""Path of the library to use; empty: none."""

USUAL = ("libcuda.so.1", "/usr/local/nvidia/lib64/libcuda.so.1")
"""What the dynamic linker finds, and where containers of Kubernetes have it."""

OUT_OF_MEMORY, NOT_FOUND = 2, 500
"""CUDA_ERROR_OUT_OF_MEMORY and CUDA_ERROR_NOT_FOUND. Source: CUresult of cuda.h"""


class CudaError(RuntimeError):
    """A call of the driver that failed.

    Args:
        call: Its name, such as ``cuMemHostRegister_v2``.
        code: What it returned, a CUresult.
        name: The driver's name for that, such as ``CUDA_ERROR_OUT_OF_MEMORY``.
    """

    def __init__(self, call: str, code: int, name: str) -> None:
        super().__init__(f"{call}: {name} ({code})")
        self.call = call
        self.code = code
        self.name = name

    def __reduce__(self) -> tuple[type[CudaError], tuple[str, int, str]]:
        return type(self), (self.call, self.code, self.name)


class Library:
    """The calls of libcuda, each of which lets other threads run while it waits.

    Args:
        path: The library, as dlopen(3) takes it.

    Raises:
        OSError: It cannot be loaded.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._functions = ctypes.CDLL(path)

    @classmethod
    def find(cls) -> Library | None:
        """The library that :data:`VARIABLE` names, or this machine's; None where there is none.

        Raises:
            UserError: The one that is named cannot be loaded.
        """
        named = os.environ.get(VARIABLE)
        if named is not None:
            try:
                return cls(named) if named else None
            except OSError as error:
                raise UserError(
                    f"{VARIABLE} names a library that does not load: {error}."
                ) from None
        for path in USUAL:
            try:
                return cls(path)
            except OSError:
                continue
        return None

    def has(self, call: str) -> bool:
        """Whether this driver knows a call: newer ones know more."""
        return hasattr(self._functions, call)

    def call(self, call: str, *arguments: Any) -> None:
        """Make a call.

        Args:
            call: Its name in the library, with its version: ``cuMemAlloc_v2``.
            arguments: Each as a type of ctypes; a plain int is taken as C's int.

        Raises:
            CudaError: It returned something else than 0, or this driver does not know it.
        """
        if not self.has(call):
            raise CudaError(call, NOT_FOUND, "CUDA_ERROR_NOT_FOUND")
        code = int(getattr(self._functions, call)(*arguments))
        if code:
            raise CudaError(call, code, self._name(code))

    def _name(self, code: int) -> str:
        text = ctypes.c_char_p()
        if self.has("cuGetErrorName"):
            self._functions.cuGetErrorName(code, ctypes.byref(text))
        return (text.value or b"an unknown error").decode()
