"""torch tensors: nested JSON lists on the wire."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from pydantic_core import core_schema

from bentofn.runtime.io.codec import Codec, tensor_schema
from bentofn.runtime.validators import Extras

_NUMPY = "numpy"


def matches(annotation: Any) -> bool:
    """Whether the type is ``torch.Tensor``."""
    torch = sys.modules.get("torch")
    return torch is not None and annotation is getattr(torch, "Tensor", None)


def annotate(annotation: Any, extras: Extras) -> Any:
    """The type with its codec."""
    return Annotated[annotation, codec(extras)]


def codec(extras: Extras) -> Codec:
    """How its values are read and written."""
    shape = extras.shape

    def parse(value: Any, info: core_schema.ValidationInfo) -> Any:
        import torch

        dtype = None if extras.dtype is None else getattr(torch, extras.dtype)
        try:
            if isinstance(value, torch.Tensor):
                tensor = value
            elif isinstance(value, sys.modules["numpy"].ndarray if _NUMPY in sys.modules else ()):
                tensor = torch.from_numpy(value)
            else:
                tensor = torch.tensor(value, dtype=dtype)
            if dtype is not None:
                tensor = tensor.to(dtype)
            is_given = tensor is not value or info.context is not None
            return tensor if shape is None or not is_given else tensor.reshape(shape)
        except (TypeError, RuntimeError) as error:
            raise ValueError(str(error)) from error

    return Codec(parse, _serialise, tensor_schema("torch-tensor", extras.dtype, shape))


def _serialise(value: Any) -> Any:
    return value.detach().cpu().tolist()
