"""What an endpoint returns: built once from its signature, then used for every response."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import SchemaSerializer, SchemaValidator, ValidationError, to_json

from bentofn.runtime.api import APIMethod
from bentofn.runtime.io import files, image
from bentofn.runtime.io.kinds import plain, servable
from bentofn.runtime.io.signature import UNBUILDABLE, Signature, unservable

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"


class InvalidOutputError(Exception):
    """A result that is not of the type that its endpoint declares."""


@dataclass(frozen=True)
class Body:
    """A response body: bytes, or the file that holds them."""

    content: bytes | Path
    media_type: str


@dataclass(frozen=True)
class Output:
    """How to turn a result into a response body.

    Args:
        schema: JSON schema of the response body.
        media_type: What the response body is.
        encode: Makes the body of a result; raises InvalidOutputError.
    """

    schema: dict[str, Any]
    media_type: str
    encode: Callable[[Any], Body]

    def encode_chunk(self, chunk: Any) -> bytes:
        """The bytes of one chunk of a stream: text and bytes as they are, else JSON.

        Raises:
            InvalidOutputError: The chunk is not of the declared type.
        """
        if isinstance(chunk, str):
            return chunk.encode()
        if isinstance(chunk, bytes):
            return chunk
        content = self.encode(chunk).content
        if isinstance(content, Path):
            raise InvalidOutputError("a stream cannot carry files")
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
    media_type, write = _writer(annotation, adapter)
    if signature.is_stream:
        media_type = EVENT_STREAM

    def encode(value: Any) -> Body:
        try:
            return write(value)
        except ValidationError as error:
            raise InvalidOutputError(_faults(error)) from error
        except (TypeError, ValueError) as error:
            raise InvalidOutputError(f"{type(value).__name__}: {error}") from error

    return Output(schema=schema, media_type=media_type, encode=encode)


def _is_response(annotation: Any) -> bool:
    """Whether an endpoint makes its HTTP response by itself."""
    module = sys.modules.get("starlette.responses")
    return (
        module is not None
        and isinstance(annotation, type)
        and issubclass(annotation, module.Response)
    )


def _writer(annotation: Any, adapter: TypeAdapter[Any]) -> tuple[str, Callable[[Any], Body]]:
    kind = plain(annotation)
    validator: SchemaValidator = adapter.validator  # type: ignore[assignment]
    serializer: SchemaSerializer = adapter.serializer
    if annotation in (str, bytes):
        return TEXT, lambda value: _raw(validator.validate_python(value))
    if image.matches(kind):
        return "image/png", lambda value: Body(*image.encode(validator.validate_python(value)))
    if files.matches(kind):
        return "application/octet-stream", lambda value: _file(validator.validate_python(value))
    if annotation is Any:
        return JSON, _untyped
    return JSON, lambda value: Body(
        serializer.to_json(validator.validate_python(value), fallback=_fallback), JSON
    )


def _faults(error: ValidationError) -> str:
    """What is wrong and where, without the values: they may be the caller's secrets."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        ".".join(map(str, ("result", *each["loc"]))) + f": {each['msg']}" for each in found
    )


def _raw(value: str | bytes) -> Body:
    return Body(value.encode() if isinstance(value, str) else value, TEXT)


def _file(path: PurePath) -> Body:
    return Body(Path(path), "application/octet-stream")


def _untyped(value: Any) -> Body:
    """The body of a result without an annotation: files by their type, the rest as JSON."""
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
    if hasattr(value, "to_dict"):
        return value.to_dict(orient="records")
    raise TypeError(f"a value of type {type(value).__name__} cannot be written as JSON")
