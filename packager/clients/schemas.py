"""What the schemas of endpoints have in common: their shape, and how their values travel.

Schemas are those of a bento's contract: pydantic's JSON schemas with BentoML's types ``tensor``,
``dataframe`` and ``file``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

Schema: TypeAlias = "Mapping[str, Any]"

Body: TypeAlias = Literal["json", "form", "text", "binary"]
Answer: TypeAlias = Literal["json", "text", "bytes", "file", "any"]
Chunk: TypeAlias = Literal["json", "text", "bytes"]

DEFINITIONS = "#/$defs/"
"""What a reference within a schema begins with."""

LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
NESTED = ("items", "additionalProperties")
"""Keywords whose value is a list of schemas, or a schema."""


def is_type(schema: Schema, name: str) -> bool:
    """Whether a schema, or what it is beside ``null``, has a type."""
    return without_null(schema).get("type") == name


def without_null(schema: Schema) -> Schema:
    """A schema without ``null`` as an alternative."""
    others = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    return others[0] if len(others) == 1 and isinstance(others[0], Mapping) else schema


def takes_files(schema: Schema) -> bool:
    """Whether a value is sent as one uploaded file or as several."""
    if is_type(schema, "file"):
        return True
    items = without_null(schema).get("items")
    return is_type(schema, "array") and isinstance(items, Mapping) and is_type(items, "file")


def body_of(schema: Schema, *, is_root: bool) -> Body:
    """How an endpoint's input travels."""
    properties: Mapping[str, Schema] = schema.get("properties", {})
    if any(takes_files(each) for each in properties.values() if isinstance(each, Mapping)):
        return "form"
    if not is_root:
        return "json"
    if is_type(schema, "file") or _is_bytes(schema):
        return "binary"
    is_text = schema.get("type") == "string" and not {"format", "enum", "const"} & schema.keys()
    return "text" if is_text else "json"


def answer_of(schema: Schema) -> Answer:
    """How an endpoint's whole result travels."""
    if is_type(schema, "file"):
        return "file"
    if _is_bytes(without_null(schema)):
        return "bytes"
    if is_type(schema, "string"):
        return "text"
    return "json" if {"type", "$ref", *LISTS, "enum", "const"} & schema.keys() else "any"


def chunk_of(schema: Schema) -> Chunk:
    """How the chunks of a stream travel: text and bytes as they are, other values as JSON."""
    if _is_bytes(schema):
        return "bytes"
    # As bentofn's own clients: what has no one type is text.
    return "text" if schema.get("type") in ("string", None) else "json"


def _is_bytes(schema: Schema) -> bool:
    return schema.get("type") == "string" and schema.get("format") == "binary"


def references(node: Any) -> Iterator[str]:
    """The references in a schema."""
    if isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, (list, tuple)):
        for each in node:
            yield from references(each)
