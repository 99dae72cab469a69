"""The documents that describe a service: ``/schema.json`` and OpenAPI's ``/docs.json``."""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from bentofn.runtime.io.spec import EndpointSpec
from bentofn.runtime.mounts import mounted_paths
from bentofn.runtime.service import Service

_STANDARD_TYPES: Mapping[str, Mapping[str, Any]] = {
    "dataframe": {"type": "array", "items": {"type": "object"}},
    "file": {"type": "string", "format": "binary"},
}
"""What OpenAPI calls the types that only BentoML's schemas have."""

EXTENSION = "x-bentofn"
"""Where the document says what OpenAPI has no word for. Of an operation: ``stream`` and ``root``,
where they are true; of a schema: what it is in BentoML's.

Source: https://spec.openapis.org/oas/v3.1.0#specification-extensions
"""

_NUMBERS = (("int", "integer"), ("uint", "integer"), ("float", "number"), ("bool", "boolean"))
"""How the names of element types begin, and what OpenAPI calls them."""

_PARAMETER = re.compile(r"{([a-zA-Z_]\w*)(?::([a-z]+))?}")
"""A parameter in a route, and its type: https://www.starlette.io/routing/#path-parameters"""

_TEXT: Mapping[str, Any] = {"type": "string"}
_CONVERTED: Mapping[str, Mapping[str, Any]] = {
    "int": {"type": "integer", "minimum": 0},
    "float": {"type": "number", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
}

_ERRORS = {
    "400": "The request is not what the endpoint takes.",
    "429": "Too many requests run already.",
    "500": "The service failed.",
    "503": "The service is not ready, or no batch was free in time.",
    "504": "The service did not answer in time.",
}


def schema_document(service: Service[Any], specs: Sequence[EndpointSpec]) -> dict[str, Any]:
    """``/schema.json``: what BentoML's client reads to make its methods."""
    ordered = sorted(specs, key=lambda spec: spec.method.name)
    routes = [_route(service.path_prefix, spec) for spec in ordered]
    return {
        "name": service.name,
        "type": "service",
        "routes": routes,
        "paths": {
            **{route["route"]: {"mounted": False} for route in routes},
            **{path: {"mounted": True} for path in mounted_paths(service.mounts)},
        },
    }


class OpenAPIDocument(dict[str, Any]):
    """The document as ``Service.openapi_spec`` has it."""

    def asdict(self) -> dict[str, Any]:
        """It as a plain dict, as of BentoML's own class."""
        return dict(self)


def openapi_document(
    service: Service[Any], specs: Sequence[EndpointSpec], version: str
) -> OpenAPIDocument:
    """``/docs.json``: an OpenAPI 3.1 document, its server relative to where it was read from."""
    components: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for spec in specs:
        operation = _operation(spec, components)
        path, parameters = _path(spec.method.route)
        paths[path] = {"post": operation, **({"parameters": parameters} if parameters else {})}
        if spec.method.is_task:
            from bentofn.runtime.http.task_paths import task_paths

            paths.update(task_paths(spec.method.route, operation))
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": service.name,
            "description": service.description or inspect.cleandoc(service.inner.__doc__ or ""),
            "version": version,
        },
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": components},
    }
    return OpenAPIDocument(document)


def _route(prefix: str, spec: EndpointSpec) -> dict[str, Any]:
    method = spec.method
    output = _without(spec.output.schema, "title")
    if spec.signature.is_stream:
        output.update(is_stream=True, media_type="text/event-stream")
    arrays = {"input": [*spec.input.binary], "output": [*spec.output.binary]}
    return {
        "name": method.name,
        "route": prefix + method.route,
        **({"doc": method.doc} if method.doc else {}),
        "batchable": method.batchable,
        "is_task": method.is_task,
        "input": _inlined(spec.input.schema, spec.input.schema.get("$defs", {})),
        "output": _inlined(output, output.get("$defs", {})),
        **({"binary": arrays} if any(arrays.values()) else {}),
    }


def _inlined(node: Any, definitions: Mapping[str, Any], within: tuple[str, ...] = ()) -> Any:
    """A schema as BentoML's client reads it: no references, and no ``null`` beside a type.

    The client looks for the ``type`` of each parameter to know what it sends as a file or a tensor.
    """
    if isinstance(node, list):
        return [_inlined(each, definitions, within) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        if name in within:  # a type that holds itself
            return {"type": "object"}
        return _inlined(
            {**definitions[name], **_without(node, "$ref")}, definitions, (*within, name)
        )
    choices = node.get("anyOf")
    others = [each for each in choices or () if each != {"type": "null"}]
    if isinstance(choices, list) and len(others) == 1:
        return _inlined({**others[0], **_without(node, "anyOf")}, definitions, within)
    kept = _without(node, "$defs")
    return {key: _inlined(value, definitions, within) for key, value in kept.items()}


def _without(node: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name != key}


def _path(route: str) -> tuple[str, list[dict[str, Any]]]:
    """A route as OpenAPI writes it, and its parameters."""
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _CONVERTED.get(kind, _TEXT)}
        for name, kind in _PARAMETER.findall(route)
    ]
    return _PARAMETER.sub(r"{\1}", route), parameters


def _operation(spec: EndpointSpec, components: dict[str, Any]) -> dict[str, Any]:
    method = spec.method
    body: dict[str, Any] = {"schema": _standard(method.name, spec.input.schema, components)}
    if method.examples:
        body["examples"] = {
            f"example {number}": {
                "value": example["root"] if spec.signature.is_root else dict(example)
            }
            for number, example in enumerate(method.examples, 1)
        }
    answer = {"schema": _standard(method.name, spec.output.schema, components)}
    responses = {status: {"description": text} for status, text in _ERRORS.items()}
    told = {"stream": spec.signature.is_stream, "root": spec.signature.is_root}
    marks = {name: True for name, is_so in told.items() if is_so}
    return {
        "operationId": method.name,
        "summary": method.doc.partition("\n")[0],
        "description": method.doc,
        **({EXTENSION: marks} if marks else {}),
        "requestBody": {
            "required": True,
            "content": {spec.input.media_type: body, **_files(spec.input.binary)},
        },
        "responses": {
            "200": {
                "description": "The answer.",
                "content": {
                    spec.output.media_type.partition(";")[0]: answer,
                    **_files(spec.output.binary),
                },
            },
            **responses,
        },
    }


def _files(media_types: Sequence[str]) -> dict[str, Any]:
    """Bodies that are files, by media type."""
    return {each: {"schema": {"type": "string", "format": "binary"}} for each in media_types}


def _standard(owner: str, schema: Mapping[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    """A schema in OpenAPI's terms; its definitions move to the components."""
    own = copy.deepcopy(dict(schema))
    own.pop("root_input", None)
    names: dict[str, str] = {}
    definitions = own.pop("$defs", {})
    for name, definition in definitions.items():
        shared = components.get(name)
        names[name] = name if shared in (None, _converted(definition, names)) else f"{owner}_{name}"
    for name, definition in definitions.items():
        components[names[name]] = _converted(definition, names)
    converted: dict[str, Any] = _converted(own, names)
    return converted


def _converted(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, list):
        return [_converted(each, names) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        return {**node, "$ref": f"#/components/schemas/{names.get(name, name)}"}
    kind = node["type"] if isinstance(node.get("type"), str) else ""
    if kind == "tensor":
        return _array(node)
    if kind in _STANDARD_TYPES:
        kept = {key: node[key] for key in ("title", "description", "default") if key in node}
        return {**kept, **_STANDARD_TYPES[kind], EXTENSION: node}
    return {key: _converted(value, names) for key, value in node.items()}


def _array(tensor: Mapping[str, Any]) -> dict[str, Any]:
    """An array as nested lists; its ``dtype`` and ``shape`` stay beside them, as in BentoML."""
    dtype = str(tensor.get("dtype", ""))
    element = next((name for start, name in _NUMBERS if dtype.startswith(start)), None)
    items: dict[str, Any] = {} if element is None else {"type": element}
    if "shape" not in tensor:
        items = {}  # lists or numbers
    for _ in tensor.get("shape", ())[1:]:
        items = {"type": "array", "items": items}
    return {**tensor, "type": "array", "items": items}
