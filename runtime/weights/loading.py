"""Weights from files, as safetensors.torch loads them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bentofn.runtime.errors import UserError
from bentofn.runtime.stages import stage
from bentofn.runtime.weights.host import map_file, read_ranges
from bentofn.runtime.weights.plan import sliced, whole
from bentofn.runtime.weights.sources import opened
from bentofn.runtime.weights.sources.base import Source
from bentofn.runtime.weights.sources.files import FileSource
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
    in this process. The file must not be shortened while they are used. On a GPU they are views of
    one allocation.

    Args:
        filename: The file, or a URL: ``https://``, ``http://`` or ``s3://``.
        device: Where the tensors shall be, as torch names it.
        backend: ``mmap``, or ``pread``: on the CPU, tensors in memory of their own.
        dtype: The type of all that are of floating-point numbers; by default the file's.

    Raises:
        UserError: The file cannot be read, is no whole safetensors file, was changed meanwhile, or
            has a type that torch has not; an argument is wrong.
        torch.OutOfMemoryError: The GPU has no room.
    """
    return load_files([filename], device, backend=backend, dtype=dtype)


def load_files(
    filenames: Sequence[str | os.PathLike[str]],
    device: str | int | torch.device = "cpu",
    *,
    backend: str = "mmap",
    dtype: torch.dtype | None = None,
    slices: Mapping[str, Sequence[slice]] | None = None,
) -> dict[str, torch.Tensor]:
    """The tensors of several files, the shards of a model, which are read at once.

    Args:
        filenames: The files or URLs.
        device: As for :func:`load_file`.
        backend: As for :func:`load_file`.
        dtype: As for :func:`load_file`.
        slices: Which tensors to load, each with a slice for its first dimensions: ``()`` is all of
            a tensor, ``(slice(0, 8),)`` its first rows, ``(slice(None), slice(0, 8))`` its first
            columns. What is not asked for is not read. By default everything is loaded.

    Raises:
        UserError: As :func:`load_file`; two files have a tensor of the same name, or none has one
            that is asked for.
        torch.OutOfMemoryError: The GPU has no room.
    """
    import torch

    if backend not in ("mmap", "pread"):
        raise UserError(f"The backend is mmap or pread, not {backend!r}.")
    if isinstance(filenames, str | os.PathLike):
        raise UserError("load_files takes a list of files; for one there is load_file.")
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise UserError(f"The dtype is one of torch's, such as torch.bfloat16, not {dtype!r}.")
    target = torch.device(device)
    if target.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"Cannot load onto {target}: torch {torch.__version__} finds no GPU.")
    with without_gc(), ExitStack() as stack:
        sources = [stack.enter_context(opened(name)) for name in filenames]
        size = sum(source.header.data_size for source in sources)
        stack.enter_context(stage("weights.read", bytes=size))
        _check_names(sources, slices)
        if target.type == "cuda":
            from bentofn.runtime.weights.onto import load_onto, target_of

            way = target_of(target)
            if way is not None:
                return load_onto(way, sources, dtype=dtype, wanted=slices)
        found: dict[str, torch.Tensor] = {}
        for source in sources:
            found |= cast(_in_host_memory(source, backend, slices), dtype)
    if target.type != "cpu":
        return {name: tensor.to(target) for name, tensor in found.items()}
    return found


def _in_host_memory(
    source: Source, backend: str, slices: Mapping[str, Sequence[slice]] | None
) -> dict[str, torch.Tensor]:
    header = source.header
    if slices is None and backend == "mmap" and isinstance(source, FileSource):
        return in_memory(header.tensors, map_file(source), header.data_start)
    plan = whole(header) if slices is None else sliced(header, slices)
    memory, start = read_ranges(source, plan.ranges, plan.size)
    return in_memory(plan.tensors, memory, start)


def _check_names(sources: Sequence[Source], slices: Mapping[str, Sequence[slice]] | None) -> None:
    seen: dict[str, Source] = {}
    for source in sources:
        for name in source.header.tensors:
            if name in seen:
                raise UserError(f"{seen[name].name} and {source.name} both have {name!r}.")
            seen[name] = source
    missing = set(slices or ()) - set(seen)
    if missing:
        names = ", ".join(source.name for source in sources)
        raise UserError(f"There is no tensor {min(missing)!r} in {names}.")
