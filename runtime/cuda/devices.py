"""The GPUs of this machine, as its driver tells of them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from uuid import UUID

from bentofn.runtime.cuda.library import Library

_NAME = 128  # bytes for a model's name
_SLICE = " MIG "
"""In the name of a slice, such as ``NVIDIA A100-SXM4-40GB MIG 1g.5gb``, whose UUID the driver gives
then. Source: MIG user guide, "Device Enumeration"; cuDeviceGetUuid_v2 of the CUDA Driver API."""


@dataclass(frozen=True)
class Device:
    """One of them.

    Args:
        id: As ``CUDA_VISIBLE_DEVICES`` names it: ``GPU-``, or ``MIG-`` of a slice, and its UUID.
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
        model = name.value.decode()
        id_ = f"{'MIG' if _SLICE in model else 'GPU'}-{UUID(bytes=bytes(uuid))}"
        found.append(Device(id_, number, model, memory.value))
    return found
