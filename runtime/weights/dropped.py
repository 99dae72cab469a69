"""Weights that are not part of a process that is kept on disk: dropped before, read again after.

Their tensors stay the same objects; what they are views of has no bytes in between. Only what is
still as it was read is dropped, and what is read again must be the same: both are told by sums of
the bytes, which a GPU makes as fast as it reads its own memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentofn.runtime import stages
from bentofn.runtime.cuda.library import CudaError
from bentofn.runtime.errors import UserError
from bentofn.runtime.objects import known_objects
from bentofn.runtime.weights import staging
from bentofn.runtime.weights.ahead import reading_ahead
from bentofn.runtime.weights.plan import Range, chunks
from bentofn.runtime.weights.sources.base import Source
from bentofn.runtime.weights.sources.files import FileSource
from bentofn.runtime.weights.staging import Job, Staging

if TYPE_CHECKING:
    import torch

_ROW = 4096
"""Words of 8 bytes in a row of the table whose sums are compared."""


@dataclass(eq=False)
class _Loaded:
    """One allocation that was filled from a file.

    Args:
        path: The file.
        ranges: What was read, and where it went.
        size: Bytes of the allocation.
        device: Where it is.
        staging: The way there.
        storage: The allocation, for as long as a tensor has it.
        sums: Of its bytes.
        is_dropped: Whether it has none now.
    """

    path: Path
    ranges: Sequence[Range]
    size: int
    device: torch.device
    staging: Staging
    storage: Any
    sums: torch.Tensor
    is_dropped: bool = False

    def held(self) -> torch.UntypedStorage | None:
        """The allocation, if a tensor has it still."""
        import torch

        found: torch.UntypedStorage | None = torch.UntypedStorage._new_with_weak_ptr(
            self.storage.cdata
        )
        return found


_loaded: list[_Loaded] = []


def remember(source: Source, ranges: Sequence[Range], buffer: torch.Tensor, way: Staging) -> None:
    """Weights were read: they can be dropped for as long as nobody changes them.

    Args:
        source: Where they were read.
        ranges: What, and where it went in the buffer.
        buffer: The allocation, as bytes.
        way: Who carried them.
    """
    from torch.multiprocessing.reductions import StorageWeakRef

    if isinstance(source, FileSource) and buffer.numel():
        storage = StorageWeakRef(buffer.untyped_storage())
        path = source.path.absolute()
        _loaded.append(
            _Loaded(path, ranges, buffer.numel(), buffer.device, way, storage, _sums(buffer))
        )


def drop() -> int:
    """Give up the memory of weights that can be read again; returns its bytes.

    Nothing where there are CUDA graphs: they hold its addresses, and it would come back at others.
    """
    import torch

    dropped = 0
    for each in [] if _has_graphs() else list(_loaded):
        storage = each.held()
        if storage is None or storage.nbytes() != each.size:
            _loaded.remove(each)
        elif not torch.equal(_sums(_bytes_of(storage, each.device)), each.sums):
            _loaded.remove(each)  # somebody has changed them: they are part of what is kept
        else:
            storage.resize_(0)
            each.is_dropped = True
            dropped += each.size
    staging.release()
    return dropped


def reload() -> None:
    """Read what was dropped; does nothing where nothing was.

    Raises:
        UserError: It cannot be read, or is not what it was.
    """
    dropped = [each for each in _loaded if each.is_dropped]
    if not dropped:
        return
    with stages.stage("weights.reload", bytes=sum(each.size for each in dropped)):
        # The driver may still be at work on what else was on the GPU, and the disk is idle.
        with reading_ahead([each.path for each in dropped]), stages.stage("gpu.wait"):
            _wait(dropped)
        for each in dropped:
            _reload(each)


def _wait(dropped: Sequence[_Loaded]) -> None:
    for each in dropped:
        try:
            each.staging.wait()
        except CudaError as error:
            raise UserError(f"{each.device} cannot be used: {error}.") from error


def _reload(each: _Loaded) -> None:
    import torch

    from bentofn.runtime.weights.onto import target_of, wait_for

    each.is_dropped = False
    storage = each.held()
    if storage is None:
        return
    storage.resize_(each.size)
    target = target_of(each.device)
    way = target.staging if target is not None else each.staging
    source = FileSource(each.path)
    try:
        source.allow_direct()
        _bytes_of(storage, each.device).zero_()  # between slices, as it was
        wait_for(each.device)
        base = storage.data_ptr()
        jobs = (Job(source, chunk, base) for chunk in chunks(each.ranges, way.tuning.slot))
        way.run(jobs)
        source.check()
    except CudaError as error:
        raise UserError(f"{each.path} cannot be copied to {each.device}: {error}.") from error
    finally:
        source.close()
    if not torch.equal(_sums(_bytes_of(storage, each.device)), each.sums):
        raise UserError(f"{each.path} is not what it was when the snapshot was taken; build again.")


def _has_graphs() -> bool:
    """Whether anything on a GPU was captured that is still to be replayed."""
    import torch

    return any(issubclass(type(each), torch.cuda.CUDAGraph) for each in known_objects())


def _bytes_of(storage: torch.UntypedStorage, device: torch.device) -> torch.Tensor:
    import torch

    return torch.empty(0, dtype=torch.uint8, device=device).set_(storage)


def _sums(buffer: torch.Tensor) -> torch.Tensor:
    """What tells bytes from others: sums of the rows and of the columns of a table with rows of
    32 KiB, and the last bytes themselves. Rows alone would not see words that change places.
    """
    import torch

    whole = buffer.numel() // (8 * _ROW)
    words = buffer[: whole * 8 * _ROW].view(torch.int64).view(whole, _ROW)
    rest = buffer[whole * 8 * _ROW :].cpu().to(torch.int64)
    return torch.cat([words.sum(1).cpu(), words.sum(0).cpu(), rest])
