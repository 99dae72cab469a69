"""numpy arrays: nested JSON lists on the wire."""

from __future__ import annotations

import sys
from typing import Annotated, Any, get_args, get_origin

from pydantic_core import core_schema

from bentofn.runtime.io.codec import Codec, tensor_schema
from bentofn.runtime.validators import Extras


def matches(annotation: Any) -> bool:
    """Whether the type is ``numpy.ndarray`` or ``numpy.typing.NDArray[...]``."""
    numpy = sys.modules.get("numpy")
    annotation = _unaliased(annotation)
    bare = get_origin(annotation) or annotation
    return numpy is not None and bare is numpy.ndarray


def is_bare(annotation: Any) -> bool:
    """Whether the type is ``numpy.ndarray`` and nothing more is asked of it."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and annotation is numpy.ndarray


def annotate(annotation: Any, extras: Extras) -> Any:
    """The type with its codec; the element type of ``NDArray[numpy.float32]`` is honoured.

    Raises:
        ValueError: The annotation says two element types.
    """
    import numpy as np

    return Annotated[np.ndarray, codec(annotation, extras)]


def codec(annotation: Any, extras: Extras) -> Codec:
    """How its values are read and written; raises as :func:`annotate` does."""
    import numpy as np

    dtype, shape = element_type(annotation, extras), extras.shape

    def parse(value: Any, info: core_schema.ValidationInfo) -> Any:
        array = value if isinstance(value, np.ndarray) else np.array(value, dtype=dtype)
        is_sent = info.context is not None
        # As in BentoML, a method may return anything in place of an array, such as a dict.
        if is_sent and array is not value and array.dtype == object and not _is_plain(array):
            raise ValueError("the elements must be numbers, booleans, strings or null")
        if dtype is not None:
            array = array.astype(dtype, copy=False)
        # As in BentoML, what a method returns keeps its shape.
        is_given = array is not value or is_sent
        return array if shape is None or not is_given else array.reshape(shape)

    schema = tensor_schema("numpy-array", None if dtype is None else dtype.name, shape)
    return Codec(_guard(parse), lambda array: array.tolist(), schema)


def element_type(annotation: Any, extras: Extras) -> Any:
    """The ``numpy.dtype`` that its values get, None for that of the numbers; raises as above."""
    import numpy as np

    dtype = _dtype(annotation)
    if extras.dtype is None:
        return dtype
    if dtype is not None and dtype != np.dtype(extras.dtype):
        raise ValueError(f"Conflicting dtype annotations: {dtype.name} and {extras.dtype}")
    return np.dtype(extras.dtype)


def _is_plain(array: Any) -> bool:
    """Whether an array of objects is one because something is missing, or numbers are large."""
    return array.ndim > 0 and all(
        each is None or isinstance(each, (bool, int, float, str)) for each in array.flat
    )


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
