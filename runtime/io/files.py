"""Files: an upload becomes a path in the request's own directory, a path becomes a download."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path, PurePath
from typing import Annotated, Any, BinaryIO

from pydantic_core import core_schema

from bentofn.runtime.io.codec import Codec


def matches(annotation: Any) -> bool:
    """Whether the type is ``pathlib.Path`` or a relative of it."""
    return isinstance(annotation, type) and issubclass(annotation, PurePath)


def annotate(annotation: Any) -> Any:
    """The type with its codec."""
    return Annotated[annotation, Codec(_parse, str, {"type": "file", "format": "binary"})]


def uploaded(value: Any) -> BinaryIO | None:
    """The open file of an upload, or None when the value is something else."""
    from starlette.datastructures import UploadFile

    return value.file if isinstance(value, UploadFile) else None


def _parse(value: Any, info: core_schema.ValidationInfo) -> Any:
    if isinstance(value, PurePath):
        return Path(value)
    source = uploaded(value)
    if source is None or info.context is None:
        raise ValueError("a file must be sent as a part of a multipart form")
    # Two parts may carry one name, and a name may try to climb out of the directory.
    folder = Path(info.context.temp_dir) / uuid.uuid4().hex
    folder.mkdir()
    path = folder / (PurePath(value.filename or "").name or "file")
    with path.open("wb") as target:
        shutil.copyfileobj(source, target)
    return path
