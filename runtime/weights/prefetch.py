"""What a load waits for, begun before torch is imported."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from bentofn.runtime.cuda.library import CudaError, Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.memory import mapped, populate
from bentofn.runtime.weights.sources.files import FileSource, identity_of
from bentofn.runtime.weights.staging import staging_of

if TYPE_CHECKING:
    import torch

_reading: set[tuple[int, int, int, int]] = set()
"""Files that are being read now, by :func:`identity_of`."""


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
    work = [threading.Thread(target=_read, args=(name,), daemon=True) for name in names]
    if number is not None:
        work.append(threading.Thread(target=_wake, args=(number,), daemon=True))
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


def _read(filename: str | os.PathLike[str]) -> None:
    with suppress(OSError, ValueError):
        descriptor = os.open(filename, os.O_RDONLY | os.O_CLOEXEC)
        identity = identity_of(descriptor)
        _reading.add(identity)
        try:
            populate(mapped(descriptor, identity[2]), descriptor)
        finally:
            _reading.discard(identity)
            os.close(descriptor)


def _wake(number: int) -> None:
    with suppress(CudaError, UserError, OSError):
        library = Library.find()
        if library is not None:
            staging_of(library, number).prepare()
