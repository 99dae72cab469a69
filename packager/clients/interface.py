"""A service as its clients see it: operations whose inputs and outputs are named types."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from bentofn.packager.clients.names import pascal_case
from bentofn.packager.clients.schemas import Schema, references
from bentofn.packager.clients.types import TYPES, Types

PARAMETER = re.compile(r"{([a-zA-Z_]\w*)(:[a-z]+)?}")
"""A parameter in a route, and its type: https://www.starlette.io/routing/#path-parameters"""


@dataclass(frozen=True)
class Operation:
    """An endpoint.

    Args:
        name: Its name.
        route: Its path, with the service's prefix; may hold parameters such as ``{name}``.
        doc: Its documentation.
        input: Schema of the request body.
        output: Schema of the answer, or of one chunk of a stream.
        is_root: Whether the body is the value of its only parameter.
        is_stream: Whether it answers in chunks.
        is_task: Whether it can be submitted.
    """

    name: str
    route: str
    doc: str
    input: Schema
    output: Schema
    is_root: bool = False
    is_stream: bool = False
    is_task: bool = False

    @property
    def parameters(self) -> list[str]:
        """The names of its route's parameters."""
        return [found[1] for found in PARAMETER.finditer(self.route)]


@dataclass(frozen=True)
class Described:
    """A service as one of its descriptions has it.

    Args:
        name: Its name.
        operations: Its endpoints; each schema holds its definitions under ``$defs``.
    """

    name: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Typed:
    """An operation with the types that it takes and gives.

    Args:
        operation: The endpoint.
        input: Schema of its input, whose objects are references to types; None if it takes nothing.
        output: That of its answer, or of one chunk.
    """

    operation: Operation
    input: Schema | None
    output: Schema


@dataclass(frozen=True)
class Interface:
    """What a client is written from.

    Args:
        name: The service's name.
        operations: The operations, by name.
        types: Name to schema of each type; references are ``#/types/NAME``.
        sent: Names of the types that are part of an input.
    """

    name: str
    operations: tuple[Typed, ...]
    types: Mapping[str, Schema]
    sent: frozenset[str]


def build_interface(described: Described, reserved: Collection[str]) -> Interface:
    """Give every object a name.

    Args:
        described: The service.
        reserved: Names that no type may have.

    Raises:
        UserError: A schema refers to what is not there.
    """
    types = Types(reserved)
    operations = [
        _typed(operation, types)
        for operation in sorted(described.operations, key=lambda each: each.name)
    ]
    sent = _reachable((each.input for each in operations if each.input), types.found)
    return Interface(described.name, tuple(operations), dict(sorted(types.found.items())), sent)


def _typed(operation: Operation, types: Types) -> Typed:
    name = pascal_case(operation.name)
    has_fields = operation.input.get("properties") or "$ref" in operation.input
    nothing = not operation.is_root and not has_fields
    taken = None if nothing else types.add(operation.input, f"{name}Input")
    return Typed(operation, taken, types.add(operation.output, f"{name}Output"))


def _reachable(schemas: Iterable[Schema], types: Mapping[str, Schema]) -> frozenset[str]:
    found: set[str] = set()
    waiting = [*schemas]
    while waiting:
        names = {each.removeprefix(TYPES) for each in references(waiting.pop())} - found
        found |= names
        waiting += [types[name] for name in names]
    return frozenset(found)
