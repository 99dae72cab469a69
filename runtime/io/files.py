"""Files: an upload becomes a path in the request's own directory, a path becomes a download."""

from __future__ import annotations

import fnmatch
import shutil
import uuid
from pathlib import Path, PurePath
from typing import Annotated, Any, BinaryIO

from pydantic_core import core_schema

from bentofn.runtime.io.codec import Codec
from bentofn.runtime.validators import Extras


def matches(annotation: Any) -> bool:
    """Whether the type is ``pathlib.Path`` or a relative of it."""
    return isinstance(annotation, type) and issubclass(annotation, PurePath)


def annotate(annotation: Any, extras: Extras) -> Any:
    """The type with its codec."""
    return Annotated[annotation, codec(extras)]


def codec(extras: Extras) -> Codec:
    """How its values are read and written."""
    expected = extras.content_type

    def parse(value: Any, info: core_schema.ValidationInfo) -> Any:
        source = uploaded(value)
        given = value.content_type if source is not None else None
        if expected is not None and given and not fnmatch.fnmatch(given, expected):
            raise ValueError(f"Invalid content type {given}, expected {expected}")
        return _parse(value, source, info)

    schema = {"type": "file", "format": extras.format}
    if expected is not None:
        schema["content_type"] = expected
    return Codec(parse, str, schema)


def uploaded(value: Any) -> BinaryIO | None:
    """The open file of an upload, or None when the value is something else."""
    from starlette.datastructures import UploadFile

    return value.file if isinstance(value, UploadFile) else None


def _parse(value: Any, source: BinaryIO | None, info: core_schema.ValidationInfo) -> Any:
    if isinstance(value, PurePath):
        return Path(value)
    if source is None or info.context is None:
        raise ValueError("a file must be sent as a part of a multipart form")
    # Two parts may carry one name, and a name may try to climb out of the directory.
    folder = Path(info.context.temp_dir) / uuid.uuid4().hex
    folder.mkdir()
    path = folder / (PurePath(value.filename or "").name or "file")
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)
    return path
