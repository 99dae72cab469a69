"""Tensors of torch that share memory with the bytes of a file."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from mmap import mmap
from typing import TYPE_CHECKING

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import TensorInfo

if TYPE_CHECKING:
    import torch

TORCH_NAMES: Mapping[str, str] = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16",
    "U32": "uint32", "I32": "int32", "U64": "uint64", "I64": "int64", "F16": "float16",
    "BF16": "bfloat16", "F32": "float32", "F64": "float64", "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F4": "float4_e2m1fn_x2",
}  # fmt: skip
"""The format's names of element types to torch's; of F4, torch has two in an element."""


def dtype_of(name: str, info: TensorInfo) -> torch.dtype:
    """The element type of a tensor.

    Raises:
        UserError: This torch has none.
    """
    import torch

    found = getattr(torch, TORCH_NAMES.get(info.dtype, "none"), None)
    if not isinstance(found, torch.dtype):
        raise UserError(
            f"The tensor {name!r} is of {info.dtype}, which torch {torch.__version__} has no type "
            "for; leave it out, or save it as another."
        )
    return found


def _dtypes_of(tensors: Mapping[str, TensorInfo]) -> dict[str, tuple[torch.dtype, int]]:
    """The element type and its bytes, for each type of the format that is there."""
    found: dict[str, tuple[torch.dtype, int]] = {}
    for name, info in tensors.items():
        if info.dtype not in found:
            dtype = dtype_of(name, info)
            found[info.dtype] = dtype, dtype.itemsize
    return found


def shape_of(name: str, info: TensorInfo) -> tuple[int, ...]:
    """The shape of a tensor in elements of :func:`dtype_of`.

    Raises:
        UserError: Two values of four bits are one element, and the last dimension is odd.
    """
    if info.dtype != "F4":
        return info.shape
    if not info.shape or info.shape[-1] % 2:
        raise UserError(f"The tensor {name!r} is of F4, and its last dimension is not even.")
    return (*info.shape[:-1], info.shape[-1] // 2)


def in_memory(
    tensors: Mapping[str, TensorInfo], memory: mmap, start: int
) -> dict[str, torch.Tensor]:
    """Tensors on the CPU, each with a storage of its own that keeps the memory.

    Args:
        tensors: What the memory holds.
        memory: It is unmapped when the last tensor is gone.
        start: Offset of the tensors' bytes in it.

    Raises:
        UserError: As :func:`dtype_of` and :func:`shape_of`.
    """
    import torch

    dtypes = _dtypes_of(tensors)

    def view(name: str, info: TensorInfo) -> torch.Tensor:
        dtype, size = dtypes[info.dtype]
        shape = shape_of(name, info)
        count, offset = info.stop - info.start, start + info.start
        if not count:
            return torch.empty(shape, dtype=dtype)
        if info.dtype != "F4" and offset % size == 0:
            flat = torch.frombuffer(memory, dtype=dtype, count=count // size, offset=offset)
        else:
            raw = torch.frombuffer(memory, dtype=torch.uint8, count=count, offset=offset)
            # What does not begin at a multiple of its elements' size cannot be used as it lies.
            flat = (raw.clone() if offset % size else raw).view(dtype)
        return flat if len(shape) == 1 else flat.view(shape)

    return {name: view(name, info) for name, info in tensors.items()}


def in_buffer(tensors: Mapping[str, TensorInfo], whole: torch.Tensor) -> dict[str, torch.Tensor]:
    """Tensors that are views of one.

    Args:
        tensors: What it holds.
        whole: Bytes (uint8, one dimension), on any device.

    Raises:
        UserError: As :func:`dtype_of` and :func:`shape_of`.
    """

    dtypes = _dtypes_of(tensors)

    def view(name: str, info: TensorInfo) -> torch.Tensor:
        dtype, size = dtypes[info.dtype]
        part = whole[info.start : info.stop]
        if info.start % size:
            part = part.clone()
        return part.view(dtype).view(shape_of(name, info))

    return {name: view(name, info) for name, info in tensors.items()}


def cast(tensors: dict[str, torch.Tensor], dtype: torch.dtype | None) -> dict[str, torch.Tensor]:
    """Tensors of floating-point numbers as another type of these; others, and those of F4, which
    torch does not take apart, as they are."""
    if dtype is None:
        return tensors
    import torch

    packed = getattr(torch, TORCH_NAMES["F4"], None)

    def converted(tensor: torch.Tensor) -> torch.Tensor:
        is_number = tensor.is_floating_point() and tensor.dtype != packed
        return tensor.to(dtype) if is_number else tensor

    return {name: converted(tensor) for name, tensor in tensors.items()}


@contextmanager
def without_gc() -> Iterator[None]:
    """Many small objects are made here, none of them garbage: no search for it meanwhile."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
