"""What an endpoint returns: built once from its signature, then used for every response."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter
from pydantic_core import SchemaSerializer, to_json

from bentofn.runtime.api import APIMethod
from bentofn.runtime.io import binary, files, image, ndarray
from bentofn.runtime.io.kinds import bare, is_file, plain, servable, takes_files
from bentofn.runtime.io.signature import UNBUILDABLE, Signature, unservable
from bentofn.runtime.io.validator import Validator

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
FILE = "application/octet-stream"
EVENT_STREAM = "text/event-stream; charset=utf-8"


class Body(NamedTuple):
    """A response body: bytes, or the file that holds them."""

    content: bytes | Path
    media_type: str


@dataclass(frozen=True)
class Output:
    """How to turn a result into a response body.

    Args:
        schema: JSON schema of the response body.
        media_type: What the response body is.
        encode: Makes the body of a result; raises ValidationError if it is not of the declared
            type, and whatever else if it cannot be written.
    """

    schema: dict[str, Any]
    media_type: str
    encode: Callable[[Any], Body]
    binary: tuple[str, ...] = ()
    """Media types in which arrays may be sent as they are, by :attr:`encode_arrays`."""

    encode_arrays: Callable[[str, Any], Body] | None = None
    """Takes the media type and the result; raises as :attr:`encode` does."""

    def encode_chunk(self, chunk: Any) -> bytes:
        """The bytes of one chunk of a stream: text and bytes as they are, else JSON.

        Raises:
            ValidationError: The chunk is not of the declared type.
            ValueError: It cannot be written.
            TypeError: It is a file.
        """
        if isinstance(chunk, str):
            return chunk.encode()
        if isinstance(chunk, bytes):
            return chunk
        content = self.encode(chunk).content
        if isinstance(content, Path):
            raise TypeError("a stream cannot carry files")
        return content


def build_output(method: APIMethod, signature: Signature) -> Output:
    """Build an endpoint's output.

    Raises:
        UserError: The annotation cannot be served.
    """
    annotation = signature.result if method.output_spec is None else method.output_spec
    if _is_response(annotation):
        annotation = Any
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(servable(annotation))
        schema = {"title": "Output", **adapter.json_schema(mode="validation")}
    except UNBUILDABLE as error:
        raise unservable(method, "the result", annotation) from error
    declared = None if signature.media_type is None else _with_charset(signature.media_type)
    if takes_files(annotation) and not is_file(annotation):
        return Output(schema, JSON, _no_files(method))
    media_type, write = _writer(annotation, adapter, declared)
    if inspect.isgeneratorfunction(method.func) or inspect.isasyncgenfunction(method.func):
        media_type = declared or EVENT_STREAM
    offered = () if signature.is_stream else binary.offered_for(annotation)
    encode_arrays = _array_writer(annotation, adapter, write) if offered else None
    return Output(schema, media_type, write, offered, encode_arrays)


def _no_files(method: APIMethod) -> Callable[[Any], Body]:
    """As with BentoML: the other endpoints are served, and this one fails."""
    message = f"{method.location}: a list of files cannot be sent; return one file, such as a zip."
    warnings.warn(message, stacklevel=2)

    def refuse(value: Any) -> Body:
        raise TypeError(message)

    return refuse


def _array_writer(
    annotation: Any, adapter: TypeAdapter[Any], write_json: Callable[[Any], Body]
) -> Callable[[str, Any], Body] | None:
    encode = binary.encoder(annotation)
    if encode is None:
        return None

    def write(media_type: str, value: Any) -> Body:
        checked = adapter.validate_python(value)
        if checked is None:  # of an optional array
            return write_json(checked)
        try:
            return Body(encode(checked, media_type), media_type)
        except ValueError:  # of elements that the format has not; what is accepted is a wish
            return write_json(checked)

    return write


def _with_charset(media_type: str) -> str:
    """A declared media type as it is sent: text says its encoding."""
    is_text = media_type.startswith("text/") and "charset=" not in media_type
    return f"{media_type}; charset=utf-8" if is_text else media_type


def _is_response(annotation: Any) -> bool:
    """Whether an endpoint makes its HTTP response by itself."""
    module = sys.modules.get("starlette.responses")
    return (
        module is not None
        and isinstance(annotation, type)
        and issubclass(annotation, module.Response)
    )


def _writer(
    annotation: Any, adapter: TypeAdapter[Any], declared: str | None
) -> tuple[str, Callable[[Any], Body]]:
    kind = plain(annotation)
    text, plain_json = declared or TEXT, declared or JSON
    validator: Validator = adapter.validator
    serializer: SchemaSerializer = adapter.serializer
    if bare(annotation) in (str, bytes):
        return text, lambda value: _raw(validator.validate_python(value), text)
    if image.matches(kind):
        return "image/png", lambda value: Body(*image.encode(validator.validate_python(value)))
    if files.matches(kind):
        file_type = declared or FILE
        return file_type, lambda value: _file(validator.validate_python(value), file_type)
    if annotation is Any:
        return JSON, _untyped
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return plain_json, lambda value: _model(validator.validate_python(value), plain_json)

    is_array = ndarray.is_bare(annotation)

    def typed(value: Any) -> Body:
        if is_array and value.__class__ is annotation:
            return Body(
                to_json(value.tolist(), fallback=_fallback, inf_nan_mode="null"), plain_json
            )
        checked = validator.validate_python(value)
        if isinstance(checked, (str, bytes)):
            return _raw(checked, text)
        return Body(serializer.to_json(checked, fallback=_fallback), plain_json)

    return plain_json, typed


def _model(value: BaseModel, media_type: str) -> Body:
    """The body of a model: its own fields, which a subclass of what is declared may add to."""
    return Body(value.__pydantic_serializer__.to_json(value, fallback=_fallback), media_type)


def _raw(value: str | bytes, media_type: str = TEXT) -> Body:
    return Body(value.encode() if isinstance(value, str) else value, media_type)


def _file(path: PurePath, media_type: str = FILE) -> Body:
    import mimetypes

    return Body(Path(path), mimetypes.guess_type(path)[0] or media_type)


def _untyped(value: Any) -> Body:
    """The body of a result without an annotation: text as it is, files by their type, else JSON."""
    if isinstance(value, (str, bytes)):
        return _raw(value)
    if isinstance(value, PurePath):
        return _file(value)
    if image.matches(type(value)) or any(map(image.matches, type(value).__mro__)):
        return Body(*image.encode(value))
    return Body(to_json(value, fallback=_fallback, inf_nan_mode="null"), JSON)


def _fallback(value: Any) -> Any:
    """Plain data of a numpy, torch or pandas value inside a result that does not declare it."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "numpy"):  # a tensor of TensorFlow
        return value.numpy().tolist()
    if hasattr(value, "to_dict"):
        return value.to_dict(orient="records")
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")
