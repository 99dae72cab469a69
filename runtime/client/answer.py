"""The answer of a call: values by the endpoint's schema, whole or chunk by chunk."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Mapping
from email.message import Message as Header
from http import HTTPStatus
from pathlib import PurePath
from typing import Any, Protocol

from bentofn.runtime.client.arrays import library, received, tensor
from bentofn.runtime.client.endpoint import Endpoint
from bentofn.runtime.errors import BentoMLException


def error_of(status: int, text: str) -> BentoMLException:
    """The exception that an answer of 400 or more stands for; its message is the answer's body."""
    try:
        registered = HTTPStatus(status)
    except ValueError:
        registered = HTTPStatus(400 if status < 500 else 500)
    known = BentoMLException.error_mapping.get(registered, BentoMLException)
    return known(text, error_code=registered)


def decode(endpoint: Endpoint, body: bytes, media_type: str) -> Any:
    """The value of a whole answer.

    Args:
        endpoint: Which answered.
        body: The answer's body.
        media_type: The answer's ``Content-Type``.

    Raises:
        ValueError: The body is not what the schema says.
        MissingDependencyException: The library of the answer's type is not installed.
    """
    schema = endpoint.output
    is_json = media_type.partition(";")[0].strip() == "application/json"
    if schema.get("type") == "file":
        from PIL import Image

        return Image.open(io.BytesIO(body))
    if schema.get("type") == "string" and not is_json:
        return body if schema.get("format") == "binary" else body.decode()
    if not body:
        return None
    if media_type in endpoint.gives:
        return received(body, schema)
    try:
        value = shape(json.loads(body), schema)
    except json.JSONDecodeError:
        if "type" in schema:
            raise
        return body.decode()  # a text of a method that declares no type
    return value if endpoint.typed is None else endpoint.typed(value)


def shape(value: Any, schema: Mapping[str, Any]) -> Any:
    """Arrays, tensors and data frames out of plain JSON, wherever the schema names them."""
    kind = schema.get("type")
    if value is None:
        return None
    if kind == "tensor":
        return tensor(value, schema)
    if kind == "dataframe":
        return library("pandas").DataFrame(value, columns=schema.get("columns"))
    if kind == "array" and isinstance(value, list):
        return [shape(each, schema.get("items") or {}) for each in value]
    if kind == "object" and isinstance(value, dict):
        # As BentoML's client: what has no name of its own in the schema stays plain.
        properties = schema.get("properties", {})
        return {name: shape(each, properties.get(name, {})) for name, each in value.items()}
    return value


def file_name(disposition: str) -> str:
    """The name of a file that an answer is, without folders; nothing if it has none."""
    header = Header()
    header["content-disposition"] = disposition
    name = PurePath((header.get_filename() or "").replace("\\", "/")).name
    return "" if name == ".." else name


class Chunks(Protocol):
    """Makes the values of a stream out of what arrives of it."""

    def feed(self, data: bytes) -> list[Any]:
        """The values that are whole by now."""

    def end(self) -> list[Any]:
        """The value that only the stream's end makes whole.

        Raises:
            ValueError: The stream ends in the middle of a value.
        """


def chunks_of(endpoint: Endpoint) -> Chunks:
    """What decodes the stream of an endpoint."""
    kind = endpoint.output.get("type")
    if kind == "string" and endpoint.output.get("format") == "binary":
        return _Bytes()
    return _Text() if kind in ("string", None) else _Json(endpoint)


class _Bytes:
    def feed(self, data: bytes) -> list[Any]:
        return [data]

    def end(self) -> list[Any]:
        return []


class _Text:
    """Text as it arrives; a character is never torn."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes) -> list[Any]:
        text = self._decoder.decode(data)
        return [text] if text else []

    def end(self) -> list[Any]:
        rest = self._decoder.decode(b"", final=True)
        return [rest] if rest else []


class _Json:
    """JSON values one after the other; numbers end where a chunk of the network does."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._text = _Text()
        self._rest = ""

    def feed(self, data: bytes) -> list[Any]:
        self._rest = (self._rest + "".join(self._text.feed(data))).lstrip()
        found = []
        while self._rest:
            try:
                value, end = json.JSONDecoder().raw_decode(self._rest)
            except json.JSONDecodeError:
                break
            found.append(self._value(value))
            self._rest = self._rest[end:].lstrip()
        return found

    def end(self) -> list[Any]:
        rest = self._rest + "".join(self._text.end())
        return [self._value(json.loads(rest))] if rest else []

    def _value(self, value: Any) -> Any:
        value = shape(value, self._endpoint.output)
        return value if self._endpoint.typed is None else self._endpoint.typed(value)
