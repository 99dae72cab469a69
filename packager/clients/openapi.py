"""A service as its OpenAPI document (``/docs.json``) describes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bentofn.packager.clients.interface import Described, Operation
from bentofn.packager.clients.schemas import DEFINITIONS, Schema
from bentofn.runtime.errors import UserError
from bentofn.runtime.http.openapi import EXTENSION

_COMPONENTS = "#/components/schemas/"
_NAME = "x-bentoml-name"
"""What BentoML writes beside an operation, and bentofn does not."""
_TENSORS = {"numpy-array", "torch-tensor", "tf-tensor"}
_FORM = "multipart/form-data"
_STREAM = "text/event-stream"
_UPLOAD = {"type": "string", "format": "binary"}
_LARGEST = 32 * 1024 * 1024
"""Bytes that a document may have."""


MALFORMED = (ValueError, RecursionError, TypeError, AttributeError, LookupError)
"""What comes of a document that is none, or whose schemas are none."""


def fetch_document(url: str) -> Described:
    """Read the document of a service that answers at a URL.

    Raises:
        UserError: It does not answer, or with something else.
    """
    import httpx

    address = f"{url.rstrip('/')}/docs.json"
    try:
        with httpx.stream("GET", address, timeout=60, follow_redirects=True) as answer:
            if answer.status_code != 200:
                raise UserError(
                    f"{address} answered with {answer.status_code}; give the URL of a service."
                )
            content = bytearray()
            for data in answer.iter_bytes():
                content += data
                if len(content) > _LARGEST:
                    raise UserError(f"{address} is larger than {_LARGEST >> 20} MiB.")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UserError(f"{address} cannot be read: {error}; is the service running?") from error
    try:
        return read_document(json.loads(content))
    except MALFORMED as error:
        raise UserError(
            f"{address} is no OpenAPI document of a service: {type(error).__name__} {error}; check "
            "the URL."
        ) from error


def read_document(document: Mapping[str, Any]) -> Described:
    """The endpoints of a document.

    Raises:
        MALFORMED: It is none of a service.
    """
    schemas: Mapping[str, Any] = document.get("components", {}).get("schemas", {})
    definitions = {name: _own(schema) for name, schema in schemas.items()}
    paths: Mapping[str, Mapping[str, Any]] = document["paths"]
    operations = [
        _operation(
            path, methods["post"], definitions, is_task=f"{path.rstrip('/')}/submit" in paths
        )
        for path, methods in paths.items()
        if _is_endpoint(path, methods, paths)
    ]
    return Described(str(document["info"]["title"]), tuple(operations))


def _is_endpoint(
    path: str, methods: Mapping[str, Any], paths: Mapping[str, Mapping[str, Any]]
) -> bool:
    """Whether a path is called to get an answer: not a probe, and no route of a task's."""
    if "requestBody" not in methods.get("post", {}):
        return False
    task, _, action = path.rpartition("/")
    return not (action in ("submit", "retry") and (task or "/") in paths)


def _operation(
    path: str, operation: Mapping[str, Any], definitions: Mapping[str, Schema], *, is_task: bool
) -> Operation:
    marks = operation.get(EXTENSION, {})
    media_type, body = next(iter(operation["requestBody"]["content"].items()))
    taken = _own(body["schema"])
    if media_type == _FORM:
        taken["properties"] = {
            name: _with_files(each) for name, each in taken.get("properties", {}).items()
        }
    answers: Mapping[str, Any] = operation["responses"]["200"].get("content", {})
    given_as, given = next(iter(answers.items()), ("", dict[str, Any]()))
    return Operation(
        name=str(operation.get(_NAME) or operation.get("operationId") or path.strip("/")),
        route=path,
        doc=str(operation.get("description") or ""),
        input={**taken, "$defs": definitions},
        output={**_own(given.get("schema", {})), "$defs": definitions},
        is_root=_is_root_of_bentoml(taken) if _NAME in operation else bool(marks.get("root")),
        is_stream=marks.get("stream", given_as == _STREAM),
        is_task=is_task,
    )


def _is_root_of_bentoml(schema: Schema) -> bool:
    """Whether a body is one value and no object of parameters: BentoML names its models so."""
    return "properties" not in schema or str(schema.get("title")).endswith("IODescriptor")


def _own(node: Any) -> Any:
    """A schema in the contract's terms."""
    if isinstance(node, list):
        return [_own(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    own = node.get(EXTENSION)
    if isinstance(own, Mapping):
        return {**own, **{key: node[key] for key in ("default", "description") if key in node}}
    if "$ref" in node:
        name = str(node["$ref"]).removeprefix(_COMPONENTS)
        return {**node, "$ref": DEFINITIONS + name}
    if node.get("format") in _TENSORS and node.get("type") == "array":
        return {**{key: each for key, each in node.items() if key != "items"}, "type": "tensor"}
    return {key: _own(each) for key, each in node.items()}


def _with_files(schema: Schema) -> Schema:
    """A form's field: binary strings are files, also of a service that does not say so."""
    if _UPLOAD.items() <= schema.items():
        return {**schema, "type": "file"}
    if isinstance(schema.get("items"), Mapping):
        return {**schema, "items": _with_files(schema["items"])}
    return schema
