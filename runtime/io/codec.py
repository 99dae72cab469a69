"""A codec: how pydantic reads, writes and describes the values of a type that it does not know."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

Parse = Callable[[Any, core_schema.ValidationInfo], Any]


@dataclass(frozen=True, eq=False)
class Codec:
    """Metadata of an ``Annotated`` type.

    Args:
        parse: Makes a value out of what arrived, or raises ValueError; a value passes unchanged.
        serialise: Makes plain JSON data out of a value.
        schema: JSON schema of the value, with BentoML's types ``tensor``, ``dataframe``, ``file``.
    """

    parse: Parse
    serialise: Callable[[Any], Any]
    schema: dict[str, Any]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.with_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(self.serialise),
        )

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return dict(self.schema)


def tensor_schema(kind: str, dtype: str | None, shape: tuple[int, ...] | None) -> dict[str, Any]:
    """BentoML's JSON schema of an array; its ``dim`` is the product of the lengths."""
    found: dict[str, Any] = {"type": "tensor", "format": kind}
    if dtype is not None:
        found["dtype"] = dtype
    if shape is not None:
        found |= {"shape": list(shape), "dim": functools.reduce(operator.mul, shape, 1)}
    return found
