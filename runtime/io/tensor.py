"""torch tensors: nested JSON lists on the wire."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from pydantic_core import core_schema

from bentofn.runtime.io.codec import Codec


def matches(annotation: Any) -> bool:
    """Whether the type is ``torch.Tensor``."""
    torch = sys.modules.get("torch")
    return torch is not None and annotation is getattr(torch, "Tensor", None)


def annotate(annotation: Any) -> Any:
    """The type with its codec."""
    schema = {"type": "tensor", "format": "torch-tensor"}
    return Annotated[annotation, Codec(_parse, _serialise, schema)]


def _parse(value: Any, info: core_schema.ValidationInfo) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value
    try:
        return torch.tensor(value)
    except (TypeError, RuntimeError) as error:
        raise ValueError(str(error)) from error


def _serialise(value: Any) -> Any:
    return value.detach().cpu().tolist()
