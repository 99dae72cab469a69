"""TensorFlow tensors: nested JSON lists on the wire."""

from __future__ import annotations

import sys
from typing import Annotated, Any

from pydantic_core import core_schema

from bentofn.runtime.io.codec import Codec, tensor_schema
from bentofn.runtime.validators import Extras


def matches(annotation: Any) -> bool:
    """Whether the type is ``tensorflow.Tensor``."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and annotation is getattr(tensorflow, "Tensor", None)


def annotate(annotation: Any, extras: Extras) -> Any:
    """The type with its codec."""
    return Annotated[annotation, codec(extras)]


def codec(extras: Extras) -> Codec:
    """How its values are read and written."""

    def parse(value: Any, info: core_schema.ValidationInfo) -> Any:
        tf = sys.modules["tensorflow"]
        if isinstance(value, tf.Tensor):
            return value
        dtype = None if extras.dtype is None else getattr(tf, extras.dtype)
        try:
            return tf.constant(value, dtype=dtype, shape=extras.shape)
        except (TypeError, tf.errors.OpError) as error:
            raise ValueError(str(error)) from error

    return Codec(parse, _serialise, tensor_schema("tf-tensor", extras.dtype, extras.shape))


def _serialise(value: Any) -> Any:
    return value.numpy().tolist()
