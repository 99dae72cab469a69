"""JSON schemas as TypeScript's types."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from bentofn.packager.clients.header import lines_of
from bentofn.packager.clients.schemas import Schema
from bentofn.packager.clients.types import TYPES

_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_PLAIN = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
    "file": "Blob",
}


def type_of(schema: Schema) -> str:
    """The type of a schema's values as JSON has them; files are blobs."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(TYPES)
    if "const" in schema:
        return literal(schema["const"])
    if isinstance(schema.get("enum"), list):
        return union([literal(each) for each in schema["enum"]])
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return union([type_of(each) for each in schema[key]])
    if schema.get("allOf"):
        return " & ".join(in_parentheses(type_of(each)) for each in schema["allOf"])
    kind = schema.get("type")
    if isinstance(kind, list):
        return union([type_of({**schema, "type": each}) for each in kind])
    return _of_kind(str(kind), schema)


def _of_kind(kind: str, schema: Schema) -> str:
    if kind in _PLAIN:
        return _PLAIN[kind]
    if kind == "array":
        if schema.get("prefixItems"):
            return f"[{', '.join(map(type_of, schema['prefixItems']))}]"
        return f"{in_parentheses(type_of(schema.get('items', {})))}[]"
    if kind == "tensor":
        return _array(schema)
    if kind == "dataframe":
        by_columns = schema.get("orient") == "columns"
        return f"{{ [column: string]: unknown{'[]' if by_columns else ''} }}" + (
            "" if by_columns else "[]"
        )
    if kind == "object":
        return f"{{ [key: string]: {type_of(schema.get('additionalProperties', {}))} }}"
    return "unknown"


def _array(tensor: Schema) -> str:
    """Nested arrays, as deep as the shape says."""
    dtype = str(tensor.get("dtype", ""))
    element = "boolean" if dtype.startswith("bool") else "number"
    if dtype.startswith(("str", "object", "complex", "datetime", "timedelta", "bytes")):
        element = "unknown"
    if "shape" not in tensor:
        return f"Nested<{element}>"
    return element + "[]" * len(tensor["shape"])


def declaration(name: str, schema: Schema, *, is_sent: bool) -> str:
    """The declaration of a named type.

    Args:
        name: Its name.
        schema: It.
        is_sent: Whether it is part of an input. In what is only received, fields with a default
            are always there.
    """
    properties: Mapping[str, Schema] = schema.get("properties", {})
    doc = comment(schema.get("description", ""), "")
    if not properties:
        return f"{doc}export type {name} = {type_of(schema)};\n"
    required = set(schema.get("required", ()))
    if not is_sent:
        required |= {field for field, each in properties.items() if "default" in each}
    lines = [f"{doc}export interface {name} {{\n"]
    for field in sorted(properties, key=lambda each: (each not in required, each)):
        each = properties[field]
        lines.append(comment(each.get("description", ""), "  "))
        mark = "" if field in required else "?"
        lines.append(f"  {key(field)}{mark}: {type_of(each)};\n")
    if "additionalProperties" in schema:
        lines.append("  [key: string]: unknown;\n")
    return "".join([*lines, "}\n"])


def union(types: list[str]) -> str:
    """One of several types."""
    return " | ".join(dict.fromkeys(types)) or "never"


def in_parentheses(type_: str) -> str:
    """A type as part of another."""
    return f"({type_})" if " " in type_ and not type_.startswith(("{", "[")) else type_


def literal(value: Any) -> str:
    """A value of JSON as a type or an expression."""
    if isinstance(value, (dict, list)):
        return "unknown"
    return json.dumps(value)


def key(name: str) -> str:
    """A property's name."""
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name)


def comment(text: object, indent: str) -> str:
    """A documentation comment; nothing for an empty text."""
    lines = [line.replace("*/", "*\\/") for line in lines_of(text)]
    if not lines:
        return ""
    if len(lines) == 1:
        return f"{indent}/** {lines[0].strip()} */\n"
    body = "".join(f"{indent} * {line}".rstrip() + "\n" for line in lines)
    return f"{indent}/**\n{body}{indent} */\n"
