"""How values of each type are measured, joined into a batch and split again.

A library's types are recognised only where the library is already loaded: a value can be of its
type in no other case, so nothing is imported for a service that does not use it.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, Literal

from bentofn.runtime.errors import InternalServerError, InvalidArgument

Family = Literal["list", "tuple", "ndarray", "tensor", "frame", "series"]


class BatchLengthMismatch(InternalServerError):  # noqa: N818 - named like its bases
    """A batchable method returned another number of items than it was given: 500."""


class NotBatchable(InternalServerError):  # noqa: N818 - named like its bases
    """A batchable method takes or returns a type that cannot be joined and split: 500."""


def size(value: Any, axis: int = 0) -> int:
    """Number of items of a request: its length along ``axis``, the rows of a table.

    Raises NotBatchable for a type without items, InvalidArgument for an array without that axis.
    """
    found = _length(value, axis)
    if found is None:
        raise InvalidArgument(
            f"The batch axis is {axis}, but the array has {len(value.shape)} dimensions."
        )
    return found


def kind(value: Any, axis: int = 0) -> Hashable:
    """Equal for two values that can be joined without changing either: type, dtype, other axes."""
    family = _family_of(value.__class__)
    if family == "frame":
        return family, tuple(value.columns), tuple(value.dtypes)
    if family == "series":
        return family, value.name, value.dtype
    if family in ("ndarray", "tensor"):
        shape = tuple(value.shape)
        dropped = axis % len(shape)
        others = shape[:dropped] + shape[dropped + 1 :]
        return family, type(value), value.dtype, getattr(value, "device", None), len(shape), others
    return family


def join(values: Sequence[Any], axis: int = 0) -> Any:
    """One value that holds the items of all, in order; they are of one kind. A lone value is kept.

    ``axis`` is that of arrays and tensors; lists and tables have only one.
    """
    first = values[0]
    if len(values) == 1:
        return first
    family = _family_of(first.__class__)
    if family == "ndarray":
        return sys.modules["numpy"].concatenate(values, axis=axis)
    if family == "tensor":
        return sys.modules["torch"].cat(tuple(values), dim=axis)
    if family in ("frame", "series"):
        return sys.modules["pandas"].concat(values, ignore_index=True)
    items = [item for value in values for item in value]
    return items if family == "list" else tuple(items)


def take(value: Any, start: int, stop: int, axis: int = 0) -> Any:
    """Items ``start:stop`` of a value; arrays and tensors give a view."""
    family = _family_of(value.__class__)
    if family in ("ndarray", "tensor"):
        return value[(slice(None),) * (axis % len(value.shape)) + (slice(start, stop),)]
    if family in ("frame", "series"):
        return value.iloc[start:stop].reset_index(drop=True)
    return value[start:stop]


def split(value: Any, sizes: Sequence[int], axis: int = 0) -> list[Any]:
    """The parts of a batch's answer, one of each size, in order; a lone part is the value itself.

    Raises BatchLengthMismatch if the answer's length along ``axis`` is not the sum of ``sizes``,
    NotBatchable if it has no length along ``axis``.
    """
    expected = sum(sizes)
    found = _length(value, axis)
    if found is None:
        raise NotBatchable(
            f"The method returned an array of {len(value.shape)} dimensions for a batch of "
            f"{expected} items; batch_dim asks for axis {axis}."
        )
    if found != expected:
        raise BatchLengthMismatch(
            f"The batch had {expected} items and the method returned {found}: "
            "a batchable api must return one result for each item, in order."
        )
    if len(sizes) == 1:
        return [value]
    stops = list(accumulate(sizes))
    return [take(value, stop - count, stop, axis) for count, stop in zip(sizes, stops, strict=True)]


def _length(value: Any, axis: int) -> int | None:
    if _family_of(value.__class__) not in ("ndarray", "tensor"):
        return len(value)
    shape = value.shape
    return int(shape[axis]) if -len(shape) <= axis < len(shape) else None


@lru_cache(maxsize=64)
def _family_of(kind: type) -> Family:
    if issubclass(kind, list):
        return "list"
    if issubclass(kind, tuple):
        return "tuple"
    if _is_loaded_type(kind, "numpy", "ndarray"):
        return "ndarray"
    if _is_loaded_type(kind, "torch", "Tensor"):
        return "tensor"
    if _is_loaded_type(kind, "pandas", "DataFrame"):
        return "frame"
    if _is_loaded_type(kind, "pandas", "Series"):
        return "series"
    raise NotBatchable(
        f"A batchable api cannot take or return {kind.__name__}: use a list, a tuple, "
        "a numpy.ndarray, a torch.Tensor or a pandas.DataFrame."
    )


def _is_loaded_type(kind: type, module: str, name: str) -> bool:
    return issubclass(kind, getattr(sys.modules.get(module), name, ()))
