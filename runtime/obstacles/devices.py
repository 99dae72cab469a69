"""Devices, open or mapped."""

from __future__ import annotations

import os
import stat

from bentofn.runtime.obstacles.found import HOOK, Obstacle
from bentofn.runtime.obstacles.sites import Sites

GPU = Obstacle(
    "holds GPU memory",
    advice="a function that asks for a GPU sleeps with that in host memory instead, or has it in "
    "its snapshot too with gpuSnapshot: true; where neither can be, move its tensors to the GPU "
    f"{HOOK}",
)

CUDA_SOCKET = b"\0cuda-uvmfd-"
"""How the name begins at which NVIDIA's library listens in each process that uses CUDA; the pid
namespace and the process follow.

Source: ``isCUDAUVMFDListener`` in deploy/snapshot/internal/criu/restore_images.go of
https://github.com/ai-dynamo/dynamo
"""

_GPU = ("/dev/nvidia", "/dev/kfd", "/dev/dri/")

_MEMORY = 1
"""Major number of null, zero, full, random, urandom and kmsg, which CRIU opens again.

Source: https://www.kernel.org/doc/Documentation/admin-guide/devices.txt
"""


def device(path: str, status: os.stat_result, sites: Sites) -> Obstacle | None:
    """What keeps a device out of a snapshot; None if it is opened again.

    Args:
        path: The device.
        status: Of it.
        sites: Where it was opened.
    """
    if stat.S_ISCHR(status.st_mode) and os.major(status.st_rdev) == _MEMORY:
        return None
    if is_gpu(path):
        return GPU
    return Obstacle(f"has the device {path} open", sites.of_file(path))


def find_gpu() -> list[Obstacle]:
    """What this process holds of a GPU, with torch or by itself."""
    from bentofn.runtime.cuda import quiet  # where no copy of a process is made, nobody looks

    return [GPU] if quiet.used_torch() is not None or quiet.on_device() is not None else []


def is_gpu(path: str) -> bool:
    """Whether a device is a GPU's."""
    return path.startswith(_GPU)
