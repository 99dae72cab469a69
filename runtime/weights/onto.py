"""Weights onto a GPU: one allocation for each file, tensors as views of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bentofn.runtime.cuda.library import CudaError, Library
from bentofn.runtime.errors import UserError
from bentofn.runtime.protocol import TAKEN_OUT
from bentofn.runtime.weights.keeper.client import copied
from bentofn.runtime.weights.plan import Plan, chunks, in_groups, sliced, whole
from bentofn.runtime.weights.prefetch import is_being_read
from bentofn.runtime.weights.sources.base import Source
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.staging import Job, Staging, staging_of
from bentofn.runtime.weights.tensors import cast, in_buffer

if TYPE_CHECKING:
    import torch

Wanted = Mapping[str, Sequence[slice]]
"""Name to a slice for each of the first dimensions of a tensor."""

_GROUP = 1 << 30
"""Bytes that are on the GPU a second time while they are cast."""


@dataclass(frozen=True)
class Target:
    """Where weights go.

    Args:
        device: As torch names it.
        staging: The way there.
    """

    device: torch.device
    staging: Staging


def target_of(device: torch.device) -> Target | None:
    """The way to a GPU; None where torch has one and the driver is not NVIDIA's.

    Raises:
        UserError: The GPU cannot be used.
    """
    import torch

    if device.type != "cuda" or torch.version.hip or not torch.cuda.is_available():
        return None
    library = Library.find()
    if library is None:
        return None
    torch.cuda.init()
    number = torch.cuda.current_device() if device.index is None else device.index
    try:
        staging = staging_of(library, number)
    except CudaError as error:
        raise UserError(f"cuda:{number} cannot be used: {error}.") from error
    return Target(torch.device("cuda", number), staging)


def wait_for(device: torch.device) -> None:
    """Wait for what torch was asked to do on a GPU.

    Memory that it gives out may be in use until then by what was asked for before, such as a cast
    of the weights that were there.
    """
    import torch

    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


def load_onto(
    target: Target,
    sources: Sequence[Source],
    *,
    dtype: torch.dtype | None = None,
    wanted: Wanted | None = None,
    direct: bool = True,
) -> dict[str, torch.Tensor]:
    """The tensors of files, all of which are read at once.

    Args:
        target: Where they go.
        sources: The files; no two have a tensor of the same name.
        dtype: The type of all that are of floating-point numbers; by default the files'.
        wanted: Which tensors, and which slices of them; by default all.
        direct: Whether what the page cache lacks is read past it.

    Raises:
        UserError: A file was changed meanwhile or cannot be read, or a copy failed.
        torch.OutOfMemoryError: The GPU has no room.
    """
    for source in sources:
        if direct and isinstance(source, FileSource) and not is_being_read(source):
            source.allow_direct()
    found: dict[str, torch.Tensor] = {}
    for batch in _batches(sources, dtype, wanted):
        found |= _load(target, batch, dtype)
    for source in sources:
        source.check()
    return found


def _load(
    target: Target, batch: Sequence[tuple[Source, Plan]], dtype: torch.dtype | None
) -> dict[str, torch.Tensor]:
    """What is read together; nothing but the tensors is left on the GPU."""
    import torch

    is_taken_out = TAKEN_OUT in os.environ
    # What is dropped and read again must be the same, also the bytes between slices.
    make = torch.zeros if is_taken_out else torch.empty
    buffers = [make(plan.size, dtype=torch.uint8, device=target.device) for _, plan in batch]
    wait_for(target.device)
    try:
        target.staging.run(_jobs(batch, buffers, target.staging))
    except CudaError as error:
        names = ", ".join(source.name for source, _ in batch)
        raise UserError(f"{names} cannot be copied to {target.device}: {error}.") from error
    found: dict[str, torch.Tensor] = {}
    for (source, plan), buffer in zip(batch, buffers, strict=True):
        if is_taken_out:
            from bentofn.runtime.weights import dropped  # few processes are kept so

            dropped.remember(source, list(plan.ranges), buffer, target.staging)
        found |= _cast(in_buffer(plan.tensors, buffer), buffer, dtype)
    return found


def _cast(
    tensors: dict[str, torch.Tensor], buffer: torch.Tensor, dtype: torch.dtype | None
) -> dict[str, torch.Tensor]:
    """Tensors cast; what little is not gets memory of its own, or it would keep all of the buffer.

    Args:
        tensors: Views of the buffer.
        buffer: It.
        dtype: As for :func:`bentofn.runtime.weights.tensors.cast`.
    """
    found = cast(tensors, dtype)
    views = {name: each for name, each in found.items() if each is tensors[name]}
    if sum(each.nbytes for each in views.values()) < buffer.nbytes / 2:
        found |= {name: each.clone() for name, each in views.items()}
    return found


def _batches(
    sources: Sequence[Source], dtype: torch.dtype | None, wanted: Wanted | None
) -> Iterator[list[tuple[Source, Plan]]]:
    """What is read together: everything, or little at a time where it is cast."""
    if dtype is None:
        yield [
            (each, whole(each.header) if wanted is None else sliced(each.header, wanted))
            for each in sources
        ]
        return
    for source in sources:
        for plan in in_groups(source.header, _GROUP):
            if wanted is None:
                yield [(source, plan)]
            elif part := {name: wanted[name] for name in plan.tensors if name in wanted}:
                yield [(source, sliced(source.header, part))]


def _jobs(
    batch: Sequence[tuple[Source, Plan]], buffers: Sequence[torch.Tensor], staging: Staging
) -> Iterator[Job]:
    """What the keeper does not copy; memory that it has reached cannot be taken off a GPU."""
    alone = TAKEN_OUT in os.environ
    for (source, plan), buffer in zip(batch, buffers, strict=True):
        base = buffer.data_ptr()
        is_done = False
        if isinstance(source, FileSource) and not alone:
            is_done = copied(source, plan, staging.context, base, buffer)
        if not is_done:
            for chunk in chunks(plan.ranges, staging.tuning.slot):
                yield Job(source, chunk, base)
