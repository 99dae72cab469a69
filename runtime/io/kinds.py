"""Which types can be served, and how each family reads and writes its values.

A family is a module with two functions: ``matches(annotation)`` and
``annotate(annotation, extras)``.
The latter returns the annotation with a codec attached, in pydantic's way
(``Annotated[type, codec]``); pydantic then parses, serialises and describes values of the family
wherever they stand. No family imports its library: an annotation that names a type of it has
already done so.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from operator import getitem
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin

from bentofn.runtime.io import dataframe, files, image, ndarray, tensor, tensorflow
from bentofn.runtime.io.codec import Codec
from bentofn.runtime.validators import NO_EXTRAS, Extras, read_extras


class Kind(Protocol):
    """A family of types."""

    def matches(self, annotation: Any) -> bool:
        """Whether a type belongs to the family."""

    def annotate(self, annotation: Any, extras: Extras) -> Any:
        """The type with its codec, as its metadata asks for it."""


KINDS: tuple[Kind, ...] = (ndarray, tensor, tensorflow, dataframe, image, files)

ACCEPTED = (
    "pydantic models, dataclasses, str, bytes, numbers, bool, lists and dicts of these, "
    "numpy.ndarray, torch.Tensor, tensorflow.Tensor, pandas.DataFrame, PIL.Image.Image, "
    "pathlib.Path"
)
"""What a message says can be served."""


def servable(annotation: Any) -> Any:
    """Attach codecs to every type in an annotation that needs one."""
    for kind in KINDS:
        if kind.matches(annotation):
            return kind.annotate(annotation, NO_EXTRAS)
    origin = get_origin(annotation)
    if origin is None or origin is Literal:
        return annotation
    arguments = get_args(annotation)
    if origin is Annotated:
        return _servable_metadata(arguments[0], annotation.__metadata__)
    if origin is Union or origin is types.UnionType:
        return Union[tuple(servable(argument) for argument in arguments)]  # noqa: UP007
    if origin in (Callable, type):
        return annotation
    return origin[tuple(servable(argument) for argument in arguments)]


def _servable_metadata(annotation: Any, metadata: tuple[Any, ...]) -> Any:
    if any(isinstance(each, Codec) for each in metadata):
        return getitem(Annotated, (annotation, *metadata))
    for kind in KINDS:
        if kind.matches(annotation):
            extras, others = read_extras(metadata)
            annotated = kind.annotate(annotation, extras)
            return getitem(Annotated, (annotated, *others)) if others else annotated
    return getitem(Annotated, (servable(annotation), *metadata))


def bare(annotation: Any) -> Any:
    """An annotation without its metadata."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def plain(annotation: Any) -> Any:
    """An annotation without its metadata and without ``None`` as an alternative."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return plain(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        others = [each for each in get_args(annotation) if each is not type(None)]
        if len(others) == 1:
            return plain(others[0])
    return annotation


def is_file(annotation: Any) -> bool:
    """Whether values of a type come as an uploaded file."""
    return files.matches(plain(annotation)) or image.matches(plain(annotation))


def takes_files(annotation: Any) -> bool:
    """Whether values of a type come as one uploaded file or as several."""
    inner = plain(annotation)
    return is_file(inner) or (is_list(inner) and any(map(is_file, get_args(inner))))


def is_list(annotation: Any) -> bool:
    """Whether a type is a list."""
    inner = plain(annotation)
    return inner is list or get_origin(inner) is list
