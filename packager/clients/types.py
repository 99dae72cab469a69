"""Every object of a schema becomes a named type, once."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from bentofn.packager.clients.names import pascal_case, unused
from bentofn.packager.clients.schemas import DEFINITIONS, LISTS, NESTED, Schema, references
from bentofn.runtime.errors import UserError

TYPES = "#/types/"
"""What a reference to a named type begins with."""

_KEPT = {
    *("type", "format", "enum", "const", "required", "description", "default"),
    *("dtype", "shape", "pil", "orient"),
}
"""Keywords that are taken over as they are."""


_UNTITLED = ("Input", "Output")
"""What a contract calls the schemas of bodies that have no name of their own."""
_AROUND = ("$defs", "root_input")


class Types:
    """The types found so far, as ``found``: name to schema.

    Args:
        reserved: Names that no type may have.
    """

    def __init__(self, reserved: Collection[str]) -> None:
        self.found: dict[str, Schema] = {}
        self._reserved = frozenset(reserved)
        self._names: dict[str, str] = {}
        """What a definition is, with all that it refers to, to its type's name."""

    def add(self, schema: Schema, hint: str) -> Schema:
        """A schema whose objects are references to types.

        Args:
            schema: It, with its definitions under ``$defs``.
            hint: What its object is to be called.

        Raises:
            UserError: It refers to a definition that is not there.
        """
        definitions: Mapping[str, Schema] = schema.get("$defs", {})
        title = schema.get("title")
        if schema.get("properties") and isinstance(title, str) and title not in _UNTITLED:
            # A model: the same type as where others refer to it.
            own = {key: value for key, value in schema.items() if key not in _AROUND}
            definitions = {title: own, **definitions}
            if definitions[title] == own:
                schema = {"$ref": DEFINITIONS + title}
        return self._taken(schema, hint, definitions)

    def _taken(self, schema: Any, hint: str, definitions: Mapping[str, Schema]) -> Schema:
        if not isinstance(schema, Mapping):  # true and false are schemas too
            return {}
        if "$ref" in schema:
            name = self._definition(str(schema["$ref"]), definitions)
            beside = {key: schema[key] for key in ("default", "description") if key in schema}
            return {"$ref": TYPES + name, **beside}
        if not schema.get("properties"):
            return self._inner(schema, hint, definitions)
        name = self._fresh(hint)
        self.found[name] = self._inner(schema, name, definitions)
        beside = {key: schema[key] for key in ("default",) if key in schema}
        return {"$ref": TYPES + name, **beside}

    def _inner(self, schema: Schema, hint: str, definitions: Mapping[str, Schema]) -> Schema:
        found = {key: value for key, value in schema.items() if key in _KEPT}
        for key in LISTS:
            if isinstance(schema.get(key), list):
                found[key] = [
                    self._taken(each, f"{hint}{number}", definitions)
                    for number, each in enumerate(schema[key], 1)
                ]
        for key in NESTED:
            if isinstance(schema.get(key), Mapping):
                found[key] = self._taken(schema[key], f"{hint}Item", definitions)
            elif schema.get(key) is True:
                found[key] = {}
        if "properties" in schema:
            found["properties"] = {
                name: self._taken(each, hint + pascal_case(name), definitions)
                for name, each in sorted(schema["properties"].items())
            }
        return found

    def _definition(self, reference: str, definitions: Mapping[str, Schema]) -> str:
        key = reference.removeprefix(DEFINITIONS)
        if key not in definitions:
            raise UserError(f"The service's schema refers to {reference!r}, which it has not.")
        identity = _identity(key, definitions)
        if identity not in self._names:
            name = self._names[identity] = self._fresh(pascal_case(key))
            self.found[name] = self._inner(definitions[key], name, definitions)
        return self._names[identity]

    def _fresh(self, hint: str) -> str:
        name = unused(hint, {*self._reserved, *self.found})
        self.found[name] = {}
        return name


def _identity(name: str, definitions: Mapping[str, Schema]) -> str:
    """A definition and what it refers to: equal ones are one type."""
    found: dict[str, Schema] = {}
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each not in found and each in definitions:
            found[each] = definitions[each]
            waiting += [other.removeprefix(DEFINITIONS) for other in references(found[each])]
    return json.dumps([name, found], sort_keys=True)
