"""Weights from files, as safetensors.torch loads them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.host import map_file, read_file
from bentofn.runtime.weights.opened import opened
from bentofn.runtime.weights.tensors import cast, in_memory, without_gc

if TYPE_CHECKING:
    import torch


def load_file(
    filename: str | os.PathLike[str],
    device: str | int | torch.device = "cpu",
    *,
    backend: str = "mmap",
    dtype: torch.dtype | None = None,
) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file; takes what ``safetensors.torch.load_file`` takes.

    On the CPU they are the file's own pages, all of them there; what is written to a tensor stays
    in this process. The file must not be shortened while they are used.

    Args:
        filename: The file.
        device: Where the tensors shall be, as torch names it.
        backend: ``mmap``, or ``pread``: on the CPU, tensors in memory of their own.
        dtype: The type of all that are of floating-point numbers; by default the file's.

    Raises:
        UserError: The file cannot be read, is no whole safetensors file, was changed meanwhile, or
            has a type that torch has not.
    """
    import torch

    if backend not in ("mmap", "pread"):
        raise UserError(f"The backend is mmap or pread, not {backend!r}.")
    target = torch.device(device)
    with without_gc(), opened(filename) as file:
        memory, start = map_file(file) if backend == "mmap" else read_file(file)
        tensors = cast(in_memory(file.header.tensors, memory, start), dtype)
    if target.type != "cpu":
        return {name: tensor.to(target) for name, tensor in tensors.items()}
    return tensors
