"""GPU memory that is kept on disk with the rest of a process."""

from __future__ import annotations

from bentofn.adapters.local.engines import EngineRefused
from bentofn.adapters.local.gpu.gpus import Gpus, in_environment
from bentofn.runtime.protocol import TAKEN_OUT


async def environment_on_disk(gpus: Gpus) -> dict[str, str]:
    """What tells a process that it is kept on disk, and its GPU.

    Raises:
        EngineRefused: It cannot be, here.
    """
    await gpus.find()
    if gpus.note:
        raise EngineRefused(gpus.note)
    if len(gpus.names) != 1:
        raise EngineRefused(
            "GPU memory is kept on disk for the GPU that it was on, and this machine has "
            f"{len(gpus.names)}; have one (CUDA_VISIBLE_DEVICES of the platform)"
        )
    return {**in_environment(gpus.names), TAKEN_OUT: "1"}
