"""``IODescriptor``: the base class of a model that stands for a request or response body."""

from __future__ import annotations

from operator import getitem
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import core_schema

from bentofn.runtime.io.kinds import servable


class IODescriptor(BaseModel):
    """A pydantic model whose fields may also be arrays, tables, images and files."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        for field in cls.model_fields.values():
            declared: Any = field.annotation
            if field.metadata:
                declared = getitem(Annotated, (declared, *field.metadata))
            served = servable(declared)
            is_annotated = get_origin(served) is Annotated
            field.annotation = get_args(served)[0] if is_annotated else served
            field.metadata = list(served.__metadata__) if is_annotated else []
        return handler(source)


def descriptor_of(model: type[BaseModel]) -> type[BaseModel]:
    """A model whose fields may be what an :class:`IODescriptor`'s may be."""
    if issubclass(model, IODescriptor):
        return model
    made: type[BaseModel] = type(model.__name__, (IODescriptor, model), {"__doc__": model.__doc__})
    return made
