"""Numbers straight from a JSON body into an array, without a Python object for each of them.

This is a short cut, not a second opinion: it takes what both readers read alike, a body with one
list of numbers or one table of them, and leaves everything else to pydantic, every error included.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bentofn.runtime.io import ndarray, tensor
from bentofn.runtime.io.kinds import bare
from bentofn.runtime.validators import read_extras

Read = Callable[[bytes], Any]
"""Reads a body; None where pydantic is to decide."""

_DOUBLES = (None, "float32", "float64")
"""Element types that are made of a double as of a number of Python."""


def reader(name: str, annotation: Any) -> Read | None:
    """What reads a body whose one field is an array; None where there is no short cut.

    Args:
        name: The field.
        annotation: Its type.
    """
    finish = _finish(annotation)
    if finish is None or "." in name:
        return None
    try:
        import numpy as np
        from csimdjson import Parser
    except ImportError:
        return None

    def read(body: bytes) -> Any:
        # One number with a point makes the whole array one of doubles, as numpy has it.
        code, dtype = ("d", np.float64) if b"." in body else ("i", np.int64)
        try:
            fields = Parser().parse(body)
            rows = fields[name]
            shape = _shape(rows, body)
            if shape is None or len(fields) != 1 or body[:1] != b"{":
                return None
            flat = np.frombuffer(rows.as_buffer(of_type=code), dtype)
        except Exception:  # whatever it is, pydantic has the words for it
            return None
        return finish(flat.reshape(shape))

    return read


def _finish(annotation: Any) -> Callable[[Any], Any] | None:
    """What makes the value of an array; None for a type that is none, or not made of doubles."""
    kind = bare(annotation)
    extras, _ = read_extras(getattr(annotation, "__metadata__", ()))
    if tensor.matches(kind):
        return _as_tensor if extras.dtype in _DOUBLES else None
    if not ndarray.matches(kind):
        return None
    try:
        dtype = ndarray.element_type(kind, extras)
    except ValueError:  # said elsewhere
        return None
    return _as_it_is if dtype is None or dtype.name in _DOUBLES else None


def _as_it_is(array: Any) -> Any:
    return array


def _as_tensor(array: Any) -> Any:
    import torch

    made = torch.from_numpy(array)
    return made.to(torch.get_default_dtype()) if made.is_floating_point() else made


def _shape(rows: Any, body: bytes) -> tuple[int, ...] | None:
    """The shape of a list of numbers or of lists of as many; None if it is neither.

    Args:
        rows: The list.
        body: All of the JSON; its opening brackets say how many lists are in the list.
    """
    count = len(rows)
    last = body.rfind(b"[")
    second = body.find(b"[", body.find(b"[") + 1)
    if second < 0:
        return (count,) if count else None
    brackets = 2 if second == last else body.count(b"[")  # searching is quicker than counting
    if brackets != count + 1:
        return None
    width = len(rows[0])
    is_even = count == 1 or all(len(row) == width for row in rows)
    return (count, width) if width and is_even else None
