"""What a process does on its GPUs before its memory is taken off them, and what it has there."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from pathlib import Path
from typing import Any

from bentofn.runtime.cuda.library import VARIABLE, CudaError, Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.protocol import OnDevice


def settle() -> None:
    """Wait for what runs on the GPUs, and give back what is not in use.

    Raises:
        UserError: Something there cannot be taken out.
    """
    torch = used_torch()
    if torch is None:
        return
    distributed = getattr(torch, "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        raise UserError(
            "GPU memory cannot be taken out while torch.distributed is initialised (NCCL); call "
            "destroy_process_group in a before_snapshot hook, or deploy with snapshot: none."
        )
    gc.collect()
    library = _loaded()
    for device in _with_context(library) if library is not None else [torch.cuda.current_device()]:
        torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    staging = sys.modules.get("bentofn.runtime.weights.staging")
    if staging is not None:  # nothing pinned that only the next load needs
        staging.release()


def on_device(*, early: bool = False) -> OnDevice | None:
    """What is used on the GPUs that this process uses, by whomever; None where it uses none.

    Args:
        early: Whether this is the snapshot point.
    """
    library = _loaded()
    used = _used(library) if library is not None else {}
    if not used:
        return None
    torch = used_torch()
    if torch is None:
        return OnDevice(max(used.values()), 0, early, sum(used.values()))
    now = {device: torch.cuda.memory_reserved(device) for device in used}
    most = {device: torch.cuda.max_memory_reserved(device) for device in used}
    needed = max(used[device] - now[device] + most[device] for device in used)
    return OnDevice(needed, max(most.values()), early, sum(now.values()) or sum(used.values()))


def used_torch() -> Any:
    """torch, where this process has used a GPU with it; else None."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None


def _loaded() -> Library | None:
    """The driver's library if this process has it: loading it takes time, starting it seconds."""
    named = os.environ.get(VARIABLE)
    # As the kernel calls it: libcuda.so.1 is a link to libcuda.so and the driver's version.
    name = Path(named).resolve().name if named else "libcuda.so"
    with contextlib.suppress(OSError, UserError):
        if name in Path("/proc/self/maps").read_text(errors="replace"):
            return Library.find()
    return None


def _used(library: Library) -> dict[int, int]:
    """Of each GPU that this process has a context on, by its number."""
    found = {}
    free, total, context = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_void_p()
    by = ctypes.byref
    with contextlib.suppress(CudaError):
        for number in _with_context(library):
            library.call("cuDevicePrimaryCtxRetain", by(context), number)
            try:
                library.call("cuCtxPushCurrent_v2", context)
                library.call("cuMemGetInfo_v2", by(free), by(total))
                library.call("cuCtxPopCurrent_v2", by(context))
            finally:
                library.call("cuDevicePrimaryCtxRelease_v2", number)
            found[number] = total.value - free.value
    return found


def _with_context(library: Library) -> list[int]:
    """Numbers of the GPUs that this process has a context on; whatever is asked of another makes
    one there, which takes time and a part of its memory."""
    count, flags, active = ctypes.c_int(), ctypes.c_uint(), ctypes.c_int()
    found = []
    with contextlib.suppress(CudaError):
        library.call("cuDeviceGetCount", ctypes.byref(count))
        for number in range(count.value):
            state = ctypes.byref(flags), ctypes.byref(active)
            library.call("cuDevicePrimaryCtxGetState", number, *state)
            if active.value:
                found.append(number)
    return found
