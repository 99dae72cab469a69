"""A model that is exported when the bento is built, as a service declares it: plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bentofn.runtime.errors import UserError

RUNTIMES = ("onnx",)

MOST_NUMBERS = 100_000
"""Numbers that an example holds at most: it is kept as text wherever the declaration goes."""

_CALLABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_DTYPES = {bool: "bool", int: "int64", float: "float32"}
"""What torch.tensor makes of Python's numbers."""


@dataclass(frozen=True)
class ExampleArray:
    """An input of an example.

    Args:
        dtype: numpy's name of its type, such as ``int64``.
        data: Nested lists of its numbers.
    """

    dtype: str
    data: Any


@dataclass(frozen=True)
class Export:
    """How a model of the store becomes one that needs no torch.

    Args:
        tag: The model, as declared.
        module: ``module:function`` of the project; given the model's directory as a
            :class:`~pathlib.Path`, it returns the :class:`torch.nn.Module`.
        example: Input name to array, or ``module:function`` that returns such a mapping.
        dynamic: Input name to the name of each axis that may have any size; None for a fixed one.
    """

    tag: str
    module: str
    example: str | Mapping[str, ExampleArray]
    dynamic: Mapping[str, tuple[str | None, ...]]

    @classmethod
    def from_plain(cls, raw: Mapping[str, Any]) -> Export:
        """The inverse of :func:`dataclasses.asdict`, of what :mod:`json` gives back."""
        example = raw["example"]
        if not isinstance(example, str):
            example = {name: ExampleArray(**array) for name, array in example.items()}
        dynamic = {name: tuple(axes) for name, axes in raw["dynamic"].items()}
        return cls(raw["tag"], raw["module"], example, dynamic)


def declare(tag: str, module: object, example: object, dynamic: object) -> Export:
    """Check what a service says about an export.

    Args:
        tag: The model.
        module: ``module:function`` that makes the torch module.
        example: Input name to lists of numbers or a numpy array, or ``module:function``.
        dynamic: Input name to the names of its axes, None for one of a fixed size.

    Raises:
        UserError: One of them is missing or cannot be understood.
    """
    where = f"The model {tag} with runtime='onnx'"
    if not isinstance(module, str) or not _CALLABLE.fullmatch(module):
        raise UserError(
            f"{where} needs module='file:function', the function that makes the torch module; "
            f"it is {module!r}."
        )
    if isinstance(example, str):
        if not _CALLABLE.fullmatch(example):
            raise UserError(f"{where}: example={example!r} is not 'file:function'.")
        return Export(tag, module, example, _dynamic(where, dynamic))
    if not isinstance(example, Mapping) or not example:
        raise UserError(
            f"{where} needs example={{'input': [[...]]}}: every argument of the module's forward, "
            "as lists of numbers or numpy arrays, or 'file:function' that returns them."
        )
    arrays = {str(name): _array(where, str(name), value) for name, value in example.items()}
    axes = _dynamic(where, dynamic)
    for name, names in axes.items():
        if name not in arrays:
            raise UserError(
                f"{where}: dynamic names the input {name!r}, but the example has: "
                f"{', '.join(arrays)}."
            )
        rank = _rank(arrays[name].data)
        if len(names) != rank:
            raise UserError(
                f"{where}: dynamic[{name!r}] names {len(names)} axes, but the example has {rank}; "
                "write None for an axis of a fixed size."
            )
    return Export(tag, module, arrays, axes)


def _dynamic(where: str, value: object) -> dict[str, tuple[str | None, ...]]:
    axes: dict[str, tuple[str | None, ...]] = {}
    if value is not None and not isinstance(value, Mapping):
        raise UserError(f"{where}: dynamic must be a mapping: {{'input': ['batch', None]}}.")
    for name, names in (value or {}).items():
        if isinstance(names, (str, Mapping)) or not isinstance(names, Sequence):
            raise UserError(f"{where}: dynamic[{name!r}] must be a list: ['batch', None].")
        if not all(
            axis is None or (isinstance(axis, str) and axis.isidentifier()) for axis in names
        ):
            raise UserError(
                f"{where}: dynamic[{name!r}] must hold a name for each axis, or None; "
                f"it is {list(names)!r}."
            )
        axes[str(name)] = tuple(names)
    return axes


def _array(where: str, name: str, value: Any) -> ExampleArray:
    if hasattr(value, "detach"):  # a torch tensor
        value = value.detach().cpu().numpy()
    data = value.tolist() if hasattr(value, "tolist") else value
    numbers = list(_numbers(data))
    if len(numbers) > MOST_NUMBERS:
        raise UserError(
            f"{where}: the example of {name!r} has {len(numbers)} numbers; give a smaller one, or "
            "example='file:function' that makes it."
        )
    kinds = {type(number) for number in numbers}
    if not kinds or not kinds <= _DTYPES.keys() or _rank(data) is None:
        raise UserError(
            f"{where}: the example of {name!r} must be numbers, or lists of equal length of them."
        )
    kind = bool if kinds == {bool} else float if float in kinds else int
    dtype = getattr(value, "dtype", None)
    return ExampleArray(_DTYPES[kind] if dtype is None else str(dtype), data)


def _numbers(data: Any) -> Any:
    if isinstance(data, (list, tuple)):
        for item in data:
            yield from _numbers(item)
    else:
        yield data


def _rank(data: Any) -> int | None:
    """The number of axes of nested lists; None if they are ragged."""
    shape = _shape(data)
    return None if shape is None else len(shape)


def _shape(data: Any) -> tuple[int, ...] | None:
    if not isinstance(data, (list, tuple)):
        return ()
    shapes = {_shape(item) for item in data}
    if len(shapes) > 1 or None in shapes:
        return None
    inner = shapes.pop() if shapes else ()
    return None if inner is None else (len(data), *inner)
