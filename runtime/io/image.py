"""PIL images: uploads as an input, PNG (or the image's own format) as an output."""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

from pydantic_core import core_schema

from bentofn.runtime.io.codec import Codec
from bentofn.runtime.io.files import uploaded
from bentofn.runtime.validators import Extras

_RUN_PROGRAMS = ("EPS",)
"""Formats of which Pillow makes an image with another program: Ghostscript.

Source: https://pillow.readthedocs.io/en/stable/handbook/image-file-formats.html
"""


def matches(annotation: Any) -> bool:
    """Whether the type is ``PIL.Image.Image`` (or, as BentoML allows, the module ``PIL.Image``)."""
    module = sys.modules.get("PIL.Image")
    return module is not None and annotation in (module, module.Image)


def annotate(annotation: Any, extras: Extras) -> Any:
    """The type with its codec."""
    from PIL import Image

    return Annotated[Image.Image, codec()]


def codec() -> Codec:
    """How its values are read and written."""
    # "pil" is what makes BentoML's client return an image instead of a path.
    schema = {"type": "file", "format": "image", "pil": True}
    return Codec(_parse, lambda image: encode(image)[0], schema)


def encode(image: Any) -> tuple[bytes, str]:
    """An image's file and its media type."""
    format_name = image.format or "PNG"
    buffer = io.BytesIO()
    image.save(buffer, format=format_name)
    return buffer.getvalue(), f"image/{format_name.lower()}"


def _parse(value: Any, info: core_schema.ValidationInfo) -> Any:
    from PIL import Image

    if isinstance(value, Image.Image):
        return value
    source = uploaded(value)
    if source is None:
        raise ValueError("an image must be sent as a part of a multipart form")
    try:
        image = Image.open(source)
        if image.format not in _RUN_PROGRAMS:
            image.load()
    except Exception as error:  # each decoder has errors of its own, and a bomb's is one of them
        raise ValueError("the file is not an image that can be read") from error
    if image.format in _RUN_PROGRAMS:
        raise ValueError(f"{image.format} files are not read: that runs a program over them")
    return image
