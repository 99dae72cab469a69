"""The GPUs of this machine, as its driver tells of them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

from bentofn.runtime.cuda.library import Library

_NAME = 128  # bytes for a model's name


@dataclass(frozen=True)
class Device:
    """One of them.

    Args:
        id: As ``CUDA_VISIBLE_DEVICES`` names it: ``GPU-`` and its UUID.
        number: Among those that this process sees.
        model: Its model, such as ``NVIDIA H100 80GB HBM3``.
        memory: Bytes of its memory.
    """

    id: str
    number: int
    model: str
    memory: int


def find_devices(library: Library) -> list[Device]:
    """All of them; none needs a context, so that nothing is taken of their memory.

    Args:
        library: The driver's, with CUDA initialised.

    Raises:
        CudaError: The driver does not say.
    """
    by = ctypes.byref
    count, memory = ctypes.c_int(), ctypes.c_size_t()
    library.call("cuDeviceGetCount", by(count))
    found = []
    for number in range(count.value):
        device, uuid = ctypes.c_int(), (ctypes.c_ubyte * 16)()
        name = ctypes.create_string_buffer(_NAME)
        library.call("cuDeviceGet", by(device), number)
        library.call("cuDeviceGetName", name, _NAME, device)
        library.call("cuDeviceTotalMem_v2", by(memory), device)
        library.call("cuDeviceGetUuid_v2", by(uuid), device)
        found.append(Device(_named(bytes(uuid)), number, name.value.decode(), memory.value))
    return found


def _named(uuid: bytes) -> str:
    text = uuid.hex()
    return f"GPU-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
