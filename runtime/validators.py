"""What an annotation says about arrays, tables and files: ``Annotated[np.ndarray, Shape((2, 2))]``.

Names and fields are BentoML's, ``_bentoml_sdk/validators.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import core_schema


@dataclass(frozen=True)
class ContentType:
    """The media type of a file, a text or a stream.

    Args:
        content_type: Such as ``audio/mp3``; of an input also a pattern, such as ``image/*``.
    """

    content_type: str


@dataclass(frozen=True)
class Shape:
    """The shape into which an array is brought.

    Args:
        dimensions: One length may be -1.
    """

    dimensions: tuple[int, ...]


@dataclass(frozen=True)
class DType:
    """The element type of an array.

    Args:
        dtype: Its name in numpy, torch or TensorFlow.
    """

    dtype: str


class _Schema:
    """A schema that works in a pydantic model of the user's as well."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        found: core_schema.CoreSchema = _codec(self, source).__get_pydantic_core_schema__(
            source, handler
        )
        return found

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        found: dict[str, Any] = _codec(self, None).__get_pydantic_json_schema__(schema, handler)
        return found


@dataclass(frozen=True)
class TensorSchema(_Schema):
    """An array or tensor.

    Args:
        format: ``numpy-array``, ``torch-tensor`` or ``tf-tensor``.
        dtype: As of :class:`DType`.
        shape: As of :class:`Shape`.
    """

    format: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True)
class DataframeSchema(_Schema):
    """A table.

    Args:
        orient: ``records``, a list of rows, or ``columns``, a list of values for each column.
        columns: The columns that are taken, in this order.
    """

    orient: str = "records"
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns) if self.columns else None)


@dataclass(frozen=True)
class FileSchema(_Schema):
    """A file.

    Args:
        format: The part of its media type before the slash.
        content_type: As of :class:`ContentType`.
    """

    format: str = "binary"
    content_type: str | None = None

    def __post_init__(self) -> None:
        if self.content_type is not None:
            object.__setattr__(self, "format", self.content_type.partition("/")[0])


@dataclass(frozen=True)
class PILImageEncoder(_Schema):
    """An image."""


@dataclass(frozen=True)
class Extras:
    """What the metadata of an annotation says, together.

    Args:
        shape: Of an array.
        dtype: Of an array.
        orient: Of a table.
        columns: Of a table.
        format: Of a file.
        content_type: Of a file, a text or a stream.
    """

    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    orient: str = "records"
    columns: tuple[str, ...] | None = None
    format: str = "binary"
    content_type: str | None = None


NO_EXTRAS = Extras()


def read_extras(metadata: Iterable[Any]) -> tuple[Extras, tuple[Any, ...]]:
    """What an annotation's metadata says, and the metadata that is none of this module's."""
    extras, others = NO_EXTRAS, []
    for each in metadata:
        match each:
            case Shape(dimensions):
                extras = replace(extras, shape=tuple(dimensions))
            case DType(dtype):
                extras = replace(extras, dtype=dtype)
            case ContentType(content_type):
                kind = content_type.partition("/")[0]
                extras = replace(extras, content_type=content_type, format=kind)
            case TensorSchema(_, dtype, shape):
                extras = replace(extras, dtype=dtype, shape=shape)
            case DataframeSchema(orient, columns):
                extras = replace(extras, orient=orient, columns=columns)
            case FileSchema(kind, content_type):
                extras = replace(extras, content_type=content_type, format=kind)
            case PILImageEncoder():
                pass
            case _:
                others.append(each)
    return extras, tuple(others)


def _codec(schema: _Schema, source: Any) -> Any:
    from bentofn.runtime.io import dataframe, files, image, ndarray, tensor, tensorflow

    extras, _ = read_extras([schema])
    match schema:
        case TensorSchema("torch-tensor"):
            return tensor.codec(extras)
        case TensorSchema("tf-tensor"):
            return tensorflow.codec(extras)
        case TensorSchema():
            return ndarray.codec(source, extras)
        case DataframeSchema():
            return dataframe.codec(extras)
        case FileSchema():
            return files.codec(extras)
    return image.codec()
