"""Arrays that are sent and received as they are, where the service says that it can."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import Any

from bentofn.runtime.client.plain import as_json
from bentofn.runtime.errors import MissingDependencyException
from bentofn.runtime.io import npy, safetensors
from bentofn.runtime.io.binary import NPY, SAFETENSORS, as_numpy

ACCEPT = f"{NPY[0]}, */*;q=0.9"
"""What is asked for where the answer is an array: an older service answers in JSON."""

_KINDS = "biuf"
"""Element types that JSON has too: numpy's letters."""

_LONGEST_ITEM = 8
"""Bytes of an element that both formats have."""

_MOST_TEXT = 1 << 19
"""Characters of the other arguments that go beside arrays: a service reads twice as much there."""


def body_of(
    values: Mapping[str, Any], parameters: Mapping[str, Mapping[str, Any]], taken: tuple[str, ...]
) -> tuple[bytes, str] | None:
    """The body of a call that has arrays among its arguments, and its media type.

    Args:
        values: The arguments by name.
        parameters: The schemas of the endpoint's parameters.
        taken: The media types of arrays that it takes.

    Returns:
        None where it must be JSON.

    Raises:
        TypeError: Another argument cannot be written as JSON.
    """
    if not taken:
        return None
    given = {name: _array(value, parameters.get(name, {})) for name, value in values.items()}
    arrays = {name: array for name, array in given.items() if array is not None}
    if not arrays:
        return None
    if NPY[0] in taken and len(values) == 1:
        (array,) = arrays.values()
        return npy.encode(array), NPY[0]
    others = {
        name: as_json(value, parameters.get(name, {})).decode()
        for name, value in values.items()
        if name not in arrays
    }
    if sum(map(len, others.values())) > _MOST_TEXT:
        return None
    return safetensors.encode(arrays, others), SAFETENSORS


def received(body: bytes, schema: Mapping[str, Any]) -> Any:
    """The array that is an answer, of the library that its schema names.

    Raises:
        ValueError: It is no ``.npy`` file.
        MissingDependencyException: The library is not installed.
    """
    return tensor(npy.decode(bytearray(body)), schema)


def tensor(value: Any, schema: Mapping[str, Any]) -> Any:
    """A tensor of the library that a schema names, of lists or of numpy's array."""
    dtype, form = schema.get("dtype"), schema.get("format")
    if form == "torch-tensor":
        torch = library("torch")
        return torch.as_tensor(value, dtype=getattr(torch, dtype) if dtype else None)
    if form == "tf-tensor":
        tensorflow = library("tensorflow")
        return tensorflow.constant(value, dtype=getattr(tensorflow, dtype) if dtype else None)
    return library("numpy").asarray(value, dtype=dtype)


def library(name: str) -> Any:
    """A library that an answer needs.

    Raises:
        MissingDependencyException: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyException(
            f"The answer is a value of {name}: install {name}."
        ) from error


def _array(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value as numpy's array; None where it is none, or must go as JSON."""
    if schema.get("type") != "tensor" or not _is_array(value):
        return None
    try:
        array = as_numpy(value)
    except (TypeError, RuntimeError, ValueError):  # an element type that numpy has not, or a mask
        return None
    if array.dtype.kind not in _KINDS or array.dtype.itemsize > _LONGEST_ITEM:
        return None
    # What torch makes of JSON's numbers; as they are, numpy's would not go with a model's weights.
    is_numpys = value is array and array.dtype == "float64"
    if is_numpys and schema.get("format") == "torch-tensor" and not schema.get("dtype"):
        return array.astype("float32")
    return array


def _is_array(value: Any) -> bool:
    kinds = (("numpy", "ndarray"), ("torch", "Tensor"), ("tensorflow", "Tensor"))
    libraries = ((sys.modules.get(library), name) for library, name in kinds)
    return any(isinstance(value, getattr(library, name, ())) for library, name in libraries)
