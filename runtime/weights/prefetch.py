"""What a load waits for, begun before torch is imported."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from bentofn.runtime.cuda.library import CudaError, Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.stages import stage
from bentofn.runtime.weights.memory import mapped, populate
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.sources.local import identity_of
from bentofn.runtime.weights.staging import staging_of

if TYPE_CHECKING:
    import torch

Identity = tuple[int, int, int, int]

_reading: list[Identity] = []
"""Files that are on their way into memory, each as often as that was asked for."""


class Prefetch:
    """What goes on in the background; nobody has to wait for it.

    Args:
        threads: Those that do it.
    """

    def __init__(self, threads: Sequence[threading.Thread]) -> None:
        self._threads = threads

    def wait(self) -> None:
        """Wait until all is done."""
        for thread in self._threads:
            thread.join()


def prefetch(
    *filenames: str | os.PathLike[str], device: str | int | torch.device = "cpu"
) -> Prefetch:
    """Bring files into memory, and wake the GPU, while the program does other things.

    Call it first, then import torch and build the module on the meta device, then load. What goes
    wrong here goes wrong again, and is told, when the files are loaded.

    Args:
        filenames: Files of this machine.
        device: Where they will be loaded, as torch names it.

    Raises:
        UserError: The device is no number of a GPU.
    """
    names = [os.fspath(name) for name in filenames]
    number = _gpu(device)
    files = _opened(names)
    # One after the other, as they are loaded; each is read by several threads.
    work = []
    if files:
        work.append(threading.Thread(target=_read, args=(files,), name="prefetch", daemon=True))
    if number is not None:
        work.append(threading.Thread(target=_wake, args=(number,), name="wake", daemon=True))
    for thread in work:
        thread.start()
    return Prefetch(work)


def is_being_read(file: FileSource) -> bool:
    """Whether a file is on its way into the page cache."""
    return file.identity in _reading


def _gpu(device: str | int | torch.device) -> int | None:
    """The number of a GPU; None for another device."""
    if isinstance(device, int):
        return device
    kind, _, number = str(device).partition(":")
    if kind != "cuda":
        return None
    if number and not number.isdecimal():
        raise UserError(f"The device is cpu, cuda, or one such as cuda:1, not {device!r}.")
    return int(number or 0)


def _opened(names: Sequence[str]) -> Sequence[tuple[int, Identity]]:
    """Those files that there are, which a load knows from now on to be read already."""
    found = []
    for name in names:
        with suppress(OSError, ValueError):
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
            found.append((descriptor, identity_of(descriptor)))
    _reading.extend(identity for _, identity in found)
    return found


def _read(files: Sequence[tuple[int, Identity]]) -> None:
    with stage("weights.prefetch", bytes=sum(identity[2] for _, identity in files)):
        for descriptor, identity in files:
            try:
                populate(mapped(descriptor, identity[2]), descriptor)
            except (OSError, ValueError):
                pass  # the load tells of it
            finally:
                _reading.remove(identity)
                os.close(descriptor)


def _wake(number: int) -> None:
    with suppress(CudaError, UserError, OSError):
        library = Library.find()
        if library is not None:
            with stage("cuda.init"):
                staging = staging_of(library, number)
            with stage("weights.pin"):
                staging.prepare()
