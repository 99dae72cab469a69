"""numpy arrays: nested JSON lists on the wire."""

from __future__ import annotations

import sys
from typing import Annotated, Any, get_args, get_origin

from pydantic_core import core_schema

from bentofn.runtime.io.codec import Codec


def matches(annotation: Any) -> bool:
    """Whether the type is ``numpy.ndarray`` or ``numpy.typing.NDArray[...]``."""
    numpy = sys.modules.get("numpy")
    annotation = _unaliased(annotation)
    bare = get_origin(annotation) or annotation
    return numpy is not None and bare is numpy.ndarray


def annotate(annotation: Any) -> Any:
    """The type with its codec; the element type of ``NDArray[numpy.float32]`` is honoured."""
    import numpy as np

    dtype = _dtype(annotation)

    def parse(value: Any, info: core_schema.ValidationInfo) -> Any:
        array = np.array(value, dtype=dtype) if not isinstance(value, np.ndarray) else value
        if array.dtype == object:
            raise ValueError("the elements must be numbers, booleans or strings")
        return array if dtype is None else array.astype(dtype, copy=False)

    schema = {"type": "tensor", "format": "numpy-array"}
    if dtype is not None:
        schema["dtype"] = dtype.name
    return Annotated[np.ndarray, Codec(_guard(parse), lambda array: array.tolist(), schema)]


def _unaliased(annotation: Any) -> Any:
    """What an alias of an array type stands for: numpy 2.5 declares NDArray in PEP 695's way."""
    value: Any = getattr(get_origin(annotation) or annotation, "__value__", None)
    if getattr(get_origin(value), "__module__", None) != "numpy":
        return annotation
    arguments = get_args(annotation)
    return value[arguments] if arguments else value


def _dtype(annotation: Any) -> Any:
    import numpy as np

    arguments = get_args(_unaliased(annotation))
    element = get_args(arguments[1]) if len(arguments) == 2 else ()
    if element and isinstance(element[0], type) and issubclass(element[0], np.generic):
        # Abstract element types such as numpy.floating have no dtype of their own.
        return np.dtype(element[0]) if element[0].__subclasses__() == [] else None
    return None


def _guard(parse: Any) -> Any:
    def guarded(value: Any, info: core_schema.ValidationInfo) -> Any:
        try:
            return parse(value, info)
        except (TypeError, OverflowError) as error:
            raise ValueError(str(error)) from error

    return guarded
