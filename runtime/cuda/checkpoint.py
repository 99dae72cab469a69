"""What a process holds on a GPU taken out of it into host memory, and put back, by the driver.

A process is RUNNING; ``lock`` makes its next CUDA call wait, ``checkpoint`` moves its GPU memory to
host memory and gives up the GPU, ``restore`` takes it back, ``unlock`` lets it go on. Another
process than that one makes the calls.

Source: CUDA Driver API, 6.39 "CUDA Checkpointing", and ``cuda.h`` of 12.8 and 13.0
https://docs.nvidia.com/cuda/cuda-driver-api/group__CUDA__CHECKPOINT.html
"""

from __future__ import annotations

import contextlib
import ctypes
from enum import IntEnum
from pathlib import Path

from bentofn.runtime.cuda.devices import Device, find_devices
from bentofn.runtime.cuda.library import CudaError, Library
from bentofn.runtime.errors import UserError

NEEDED = 12_080
"""What cuDriverGetVersion gives from driver 570 on, the first that has these calls: CUDA 12.8."""

CALLS = ("GetState", "GetRestoreThreadId", "Lock", "Checkpoint", "Restore", "Unlock")
_CALL = "cuCheckpointProcess{}"


class State(IntEnum):
    """Of a process: CUprocessState of ``cuda.h``."""

    RUNNING = 0
    LOCKED = 1
    CHECKPOINTED = 2
    FAILED = 3


class CannotCheckpoint(UserError):  # noqa: N818 - reads as what happened, like UserError's kin
    """A process or a machine of which nothing can be taken out; the message says what to do."""


def start_driver() -> Library:
    """This machine's driver, with CUDA initialised: that takes seconds.

    Raises:
        CannotCheckpoint: There is none, or it does not start.
    """
    library = Library.find()
    if library is None:
        raise CannotCheckpoint("There is no NVIDIA driver here (libcuda.so.1).")
    try:
        library.call("cuInit", ctypes.c_uint(0))
    except CudaError as error:
        raise CannotCheckpoint(f"The NVIDIA driver does not start: {error.name}.") from error
    return library


def devices_of(library: Library) -> list[Device]:
    """The machine's GPUs, also where nothing can be checkpointed.

    Args:
        library: From :func:`start_driver`.

    Raises:
        CannotCheckpoint: The driver does not say.
    """
    try:
        return find_devices(library)
    except CudaError as error:
        raise CannotCheckpoint(f"The driver tells of no GPU: {error}.") from error


class LockArguments(ctypes.Structure):
    """CUcheckpointLockArgs; the other calls are given no arguments of their own (NULL)."""

    _fields_ = (
        ("timeoutMs", ctypes.c_uint),
        ("reserved0", ctypes.c_uint),
        ("reserved1", ctypes.c_uint64 * 7),
    )


class Checkpoint:
    """The calls, for any process of this machine that its user may trace.

    Args:
        library: The driver's, with CUDA initialised.
        version: The CUDA that the driver is for, as ``cuda.h`` writes it: 12080 is 12.8.
    """

    def __init__(self, library: Library, version: int) -> None:
        self._library = library
        self.version = version

    @classmethod
    def of(cls, library: Library) -> Checkpoint:
        """The calls of a driver.

        Args:
            library: From :func:`start_driver`.

        Raises:
            CannotCheckpoint: It does not have them.
        """
        return cls(library, _checked_version(library))

    def state(self, pid: int) -> State:
        """How a process stands.

        Raises:
            CannotCheckpoint: It does not use CUDA, or has ended.
        """
        state = ctypes.c_int()
        self._call("GetState", pid, ctypes.byref(state))
        return State(state.value)

    def restore_thread(self, pid: int) -> int:
        """The thread of a process that CRIU must let run while it is restored.

        Raises:
            CannotCheckpoint: As for :meth:`state`.
        """
        thread = ctypes.c_int()
        self._call("GetRestoreThreadId", pid, ctypes.byref(thread))
        return thread.value

    def lock(self, pid: int, timeout: float) -> None:
        """Have a running process's next CUDA call wait, once what it has begun is done.

        Args:
            pid: It.
            timeout: Seconds for that; it goes on running where they do not suffice.

        Raises:
            CannotCheckpoint: It cannot be locked.
        """
        arguments = LockArguments(timeoutMs=max(1, round(timeout * 1000)))
        self._call("Lock", pid, ctypes.byref(arguments))

    def checkpoint(self, pid: int) -> None:
        """Take a locked process's memory off the GPU; what it has started may hold none.

        Raises:
            CannotCheckpoint: It was not; the process is of no use any more.
        """
        for child in _children(pid):
            if _holds_gpu(child):
                raise CannotCheckpoint(
                    f"{_DOES['Checkpoint']}: its child process {child} uses the GPU too; end it in "
                    "a before_snapshot hook, or deploy with snapshot: none"
                )
        self._call("Checkpoint", pid, None)

    def restore(self, pid: int) -> None:
        """Put it back on the same GPU; the process is locked then.

        Raises:
            CannotCheckpoint: It was not; the process is of no use any more.
        """
        self._call("Restore", pid, None)

    def unlock(self, pid: int) -> None:
        """Let a locked process go on.

        Raises:
            CannotCheckpoint: It does not.
        """
        self._call("Unlock", pid, None)

    def _call(self, what: str, pid: int, *arguments: object) -> None:
        try:
            self._library.call(_CALL.format(what), ctypes.c_int(pid), *arguments)
        except CudaError as error:
            raise CannotCheckpoint(explain(what, error)) from error


def _children(pid: int) -> list[int]:
    """What a process has started, and they (``/proc/<pid>/task/<tid>/children`` of proc(5))."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (thread / "children").read_text().split()):
                found += [child, *_children(child)]
    return found


def _holds_gpu(pid: int) -> bool:
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(descriptor.readlink()).startswith("/dev/nvidia"):
                    return True
    return False


def driver_version(library: Library) -> int:
    """The CUDA that a driver is for, as ``cuda.h`` writes it: 12080 is 12.8.

    Raises:
        CudaError: It does not say.
    """
    version = ctypes.c_int()
    library.call("cuDriverGetVersion", ctypes.byref(version))
    return version.value


def shown(version: int) -> str:
    """A version of CUDA for people: ``12.8``."""
    return f"{version // 1000}.{version % 1000 // 10}"


def _checked_version(library: Library) -> int:
    try:
        version = driver_version(library)
    except CudaError as error:
        raise CannotCheckpoint(f"The NVIDIA driver does not answer: {error.name}.") from error
    if version < NEEDED or not all(library.has(_CALL.format(each)) for each in CALLS):
        raise CannotCheckpoint(
            f"The NVIDIA driver is for CUDA {shown(version)}; checkpoints of GPU memory need "
            f"driver 570 (CUDA {shown(NEEDED)}) or later."
        )
    return version


_LIMITS = (
    "the driver cannot take out managed memory (cudaMallocManaged), MIG slices, processes under "
    "MPS, memory shared over CUDA IPC (before driver 610) and NCCL's communicators: free them in a "
    "before_snapshot hook, or deploy with snapshot: none"
)
_BY_CODE = {
    ("Lock", 600): "it was still busy on the GPU; let requests finish what they start there",
    ("Lock", 909): "it was still busy on the GPU; let requests finish what they start there",
    ("Checkpoint", 2): "there is too little host memory for what it holds on the GPU",
    ("Restore", 2): "the GPU has too little memory left for it; other programs hold it",
    ("Restore", 1): "the GPU is not the one, or not of the model, that it was taken off",
    ("Restore", 100): "the GPU that it was taken off is not there any more",
    ("Restore", 101): "the GPU is not the one, or not of the model, that it was taken off",
}
_BY_ANY = {
    1: "it does not use CUDA, has several processes that do, or has ended",
    3: "CUDA is not initialised in the controller",
    304: "the system does not let the controller trace it; run the platform as root",
    400: "it does not use CUDA, or has ended",
    401: "it is not in the state for that: another program has locked it, or it has failed",
    800: "the system does not let the controller trace it; run the platform as root",
    801: _LIMITS,
}
"""CUresult of ``cuda.h`` to what it means here, for one call or for all."""


def explain(what: str, error: CudaError) -> str:
    """A sentence for a call that failed, with what to do.

    Args:
        what: One of :data:`CALLS`.
        error: What the driver said.
    """
    why = _BY_CODE.get((what, error.code)) or _BY_ANY.get(error.code) or _LIMITS
    return f"{_DOES[what]}: {why} ({error.name})"


_DOES = {
    "GetState": "the driver does not know the process",
    "GetRestoreThreadId": "the driver does not know the process",
    "Lock": "its work on the GPU cannot be halted",
    "Checkpoint": "its GPU memory cannot be taken out",
    "Restore": "its GPU memory cannot be put back",
    "Unlock": "its work on the GPU does not go on",
}
