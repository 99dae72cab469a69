"""What to read of a file and where to put it: plain arithmetic, no reads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from bentofn.runtime.errors import UserError
from bentofn.runtime.weights.header import DTYPE_BITS, SafetensorsHeader, TensorInfo

ALIGNMENT = 64
"""Bytes at a multiple of which slices begin: a cache line, and more than any type wants."""


class Range(NamedTuple):
    """Bytes that lie together.

    Args:
        offset: Where they begin in the file.
        to: Where they go in the buffer.
        length: How many.
    """

    offset: int
    to: int
    length: int


class Chunk(NamedTuple):
    """What is read at once, and lies together in the buffer.

    Args:
        to: Where it goes in the buffer.
        length: Bytes.
        ranges: The parts of the file, one behind the other in the buffer.
    """

    to: int
    length: int
    ranges: Sequence[Range]


@dataclass(frozen=True)
class Plan:
    """What a buffer gets of a file.

    Args:
        tensors: What is in the buffer then, by name.
        ranges: What to read, in the order of the buffer; may be gone through more than once.
        size: Bytes of the buffer.
    """

    tensors: Mapping[str, TensorInfo]
    ranges: Iterable[Range]
    size: int


def whole(header: SafetensorsHeader) -> Plan:
    """All of a file, as it lies there."""
    ranges = [Range(header.data_start, 0, header.data_size)] if header.data_size else []
    return Plan(header.tensors, ranges, header.data_size)


def in_groups(header: SafetensorsHeader, size: int) -> Iterator[Plan]:
    """All of a file, in parts of whole tensors.

    Args:
        header: What it holds.
        size: Bytes of a part, unless one tensor is larger.
    """
    group: dict[str, TensorInfo] = {}
    start = stop = 0
    for name, info in header.tensors.items():
        if group and info.stop - start > size:
            yield _group(header, group, start, stop)
            group, start = {}, info.start
        group[name], stop = info, info.stop
    if group:
        yield _group(header, group, start, stop)


def sliced(header: SafetensorsHeader, wanted: Mapping[str, Sequence[slice]]) -> Plan:
    """Some tensors of a file, or slices of them.

    Args:
        header: What it holds.
        wanted: Name to a slice for each of the first dimensions; ``()`` is all of the tensor. A
            name that the file has not is left out.

    Raises:
        UserError: There is no such dimension, or a slice leaves elements out between.
    """
    placed: dict[str, TensorInfo] = {}
    slices: list[_Slice] = []
    to = 0
    for name, info in header.tensors.items():
        if name not in wanted:
            continue
        limits = _limits(name, info, wanted[name])
        shape = tuple(stop - start for start, stop in limits)
        to = -(-to // ALIGNMENT) * ALIGNMENT
        placed[name] = TensorInfo(info.dtype, shape, to, to + _bytes(name, info, math.prod(shape)))
        if placed[name].stop > to:
            slices.append(_Slice(name, info, limits, header.data_start + info.start, to))
        to = placed[name].stop
    return Plan(placed, _Slices(slices), to)


def chunks(ranges: Iterable[Range], size: int) -> Iterator[Chunk]:
    """Cut and join ranges to pieces of a size, which is where reads begin in the file.

    Args:
        ranges: In the order of the buffer.
        size: Bytes of a chunk at most; a power of two.
    """
    pending: list[Range] = []
    length = 0
    for part in _cut(ranges, size):
        end = pending[-1].to + pending[-1].length if pending else part.to
        if pending and (part.to != end or length + part.length > size):
            yield Chunk(pending[0].to, length, pending)
            pending, length = [], 0
        pending.append(part)
        length += part.length
    if pending:
        yield Chunk(pending[0].to, length, pending)


def _group(
    header: SafetensorsHeader, tensors: Mapping[str, TensorInfo], start: int, stop: int
) -> Plan:
    placed = {
        name: info._replace(start=info.start - start, stop=info.stop - start)
        for name, info in tensors.items()
    }
    ranges = [Range(header.data_start + start, 0, stop - start)] if stop > start else []
    return Plan(placed, ranges, stop - start)


def _limits(name: str, info: TensorInfo, index: Sequence[slice]) -> list[tuple[int, int]]:
    if not isinstance(index, Sequence) or not all(isinstance(each, slice) for each in index):
        raise UserError(
            f"What to load of the tensor {name!r} is a tuple of slices, such as (slice(0, 8),), "
            f"not {index!r}."
        )
    if len(index) > len(info.shape):
        raise UserError(f"The tensor {name!r} has {len(info.shape)} dimensions, not {len(index)}.")
    limits = []
    for length, part in itertools.zip_longest(info.shape, index, fillvalue=slice(None)):
        assert isinstance(length, int)
        start, stop, step = part.indices(length)
        if step != 1:
            raise UserError(f"A slice of the tensor {name!r} leaves elements out; read it whole.")
        limits.append((start, max(start, stop)))
    return limits


class _Slice(NamedTuple):
    """A slice of a tensor.

    Args:
        name: The tensor's, for messages.
        info: The tensor.
        limits: First and last but one of each dimension.
        offset: Of the tensor in the file.
        to: Where the slice goes in the buffer.
    """

    name: str
    info: TensorInfo
    limits: Sequence[tuple[int, int]]
    offset: int
    to: int

    def runs(self) -> Iterator[Range]:
        """Its bytes: as many together as the last dimension that is cut leaves so."""
        name, info, limits, offset, to = self
        cut = [each for each, limit in enumerate(limits) if limit != (0, info.shape[each])]
        last = cut[-1] if cut else 0
        strides = [math.prod(info.shape[each + 1 :]) for each in range(len(info.shape))]
        first, stop = limits[last] if limits else (0, 1)
        inner = strides[last] if strides else 1
        length = _bytes(name, info, (stop - first) * inner)
        outer = (range(*limit) for limit in limits[:last])
        for index in itertools.product(*outer):
            at = sum(i * stride for i, stride in zip(index, strides, strict=False)) + first * inner
            yield Range(offset + _bytes(name, info, at), to, length)
            to += length


class _Slices:
    """The runs of slices, which may be too many for a list."""

    def __init__(self, slices: Sequence[_Slice]) -> None:
        self._slices = slices

    def __iter__(self) -> Iterator[Range]:
        return itertools.chain.from_iterable(each.runs() for each in self._slices)


def _bytes(name: str, info: TensorInfo, count: int) -> int:
    bits = count * DTYPE_BITS[info.dtype]
    if bits % 8:
        raise UserError(f"A slice of the tensor {name!r} of {info.dtype} begins inside a byte.")
    return bits // 8


def _cut(ranges: Iterable[Range], size: int) -> Iterator[Range]:
    for offset, to, length in ranges:
        while length:
            part = min(length, size - offset % size)
            yield Range(offset, to, part)
            offset, to, length = offset + part, to + part, length - part
