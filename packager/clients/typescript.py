"""A client in TypeScript: one file that needs ``fetch`` and nothing else."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import NamedTuple

from bentofn.packager.clients.header import header
from bentofn.packager.clients.interface import (
    PARAMETER,
    Described,
    Interface,
    Operation,
    Typed,
    build_interface,
)
from bentofn.packager.clients.names import identifier, pascal_case, unused
from bentofn.packager.clients.schemas import Body, answer_of, body_of, chunk_of
from bentofn.packager.clients.typescript_types import (
    comment,
    declaration,
    in_parentheses,
    key,
    type_of,
)

_RUNTIME = "runtime.ts"

_GLOBALS = {
    *("Array", "ArrayBuffer", "Boolean", "Error", "Function", "JSON", "Number", "Object"),
    *("Promise", "Record", "String", "Symbol", "Uint8Array", "AsyncGenerator", "AbortSignal"),
    *("Blob", "BodyInit", "FormData", "RequestCredentials", "RequestInit", "Response"),
    "TextDecoder",
}
"""What the file uses of the language's and the browser's."""

_CHUNKS = {"text": "string", "bytes": "Uint8Array"}
_BODIES = {"text": "string", "binary": "Blob | ArrayBuffer | string"}


def typescript_client(described: Described) -> str:
    """The source of a client.

    Args:
        described: The service.

    Raises:
        UserError: One of its schemas refers to what is not there.
    """
    runtime = (resources.files("bentofn.packager.clients") / _RUNTIME).read_text("utf-8")
    reserved = {*_GLOBALS, *re.findall(r"\b(?:class|interface|type|function) (\w+)", runtime)}
    client = unused(f"{pascal_case(described.name)}Client", reserved)
    interface = build_interface(described, {*reserved, client})
    types = [
        declaration(name, schema, is_sent=name in interface.sent)
        for name, schema in interface.types.items()
    ]
    top = comment(header(interface.name, "ts"), "")
    return "\n".join([top, *types, _client(client, interface), runtime])


def _client(name: str, interface: Interface) -> str:
    about = f"Calls {interface.name}, at a URL such as a function's."
    members = [_constructor()]
    taken = {"constructor"}
    for typed in interface.operations:
        member = identifier(typed.operation.name, taken)
        taken.add(member)
        members.append(_member(member, typed))
    return f"{comment(about, '')}export class {name} {{\n" + "\n".join(members) + "}\n"


def _constructor() -> str:
    return """\
  readonly #connection: Connection;

  /**
   * @param baseUrl Where the service answers; endpoints are below it.
   * @param options What all calls have in common.
   */
  constructor(baseUrl: string, options: ClientOptions = {}) {
    this.#connection = new Connection(baseUrl, options);
  }
"""


def _member(name: str, typed: Typed) -> str:
    operation = typed.operation
    doc = comment(operation.doc, "  ")
    body, given, takes, passed = _input(typed)
    path = _path(operation)
    if operation.parameters:
        fields = "; ".join(f"{key(each)}: string | number" for each in operation.parameters)
        takes = f"path: {{ {fields} }}, {takes}"
    if operation.is_task:
        kind = "any" if operation.is_stream else answer_of(operation.output)
        gives = "unknown" if operation.is_stream else _answer_type(typed)
        return (
            f"{doc}  get {name}(): TaskMethod<{given}, {gives}> {{\n"
            f'    return this.#connection.task({path}, "{body}", "{kind}");\n  }}\n'
        )
    if operation.is_stream:
        chunk = chunk_of(operation.output)
        gives = _CHUNKS.get(chunk) or type_of(typed.output)
        returned, sends, kind = f"AsyncGenerator<{gives}, void, undefined>", "stream", chunk
    else:
        returned, sends = f"Promise<{_answer_type(typed)}>", "call"
        kind = answer_of(operation.output)
    call = f'{sends}({path}, "{body}", {passed}, "{kind}", options)'
    return (
        f"{doc}  {name}({takes}options: CallOptions = {{}}): {returned} {{\n"
        f"    return this.#connection.{call};\n  }}\n"
    )


def _answer_type(typed: Typed) -> str:
    is_blob = answer_of(typed.operation.output) == "bytes"
    return "Blob" if is_blob else type_of(typed.output)


class _Input(NamedTuple):
    """What a method takes.

    Args:
        body: How it travels.
        type: Its type, ``void`` among it where it may be left out.
        parameter: It as a method's parameter, with a comma, or nothing.
        passed: What the method passes on.
    """

    body: Body
    type: str
    parameter: str
    passed: str


def _input(typed: Typed) -> _Input:
    body = body_of(typed.operation.input, is_root=typed.operation.is_root)
    if typed.input is None:
        return _Input(body, "void", "", "{}")
    type_ = _BODIES.get(body) or type_of(typed.input)
    if typed.operation.is_root or typed.operation.input.get("required"):
        return _Input(body, type_, f"input: {type_}, ", "input")
    return _Input(body, f"{in_parentheses(type_)} | void", f"input?: {type_}, ", "input")


def _path(operation: Operation) -> str:
    """The path as an expression; its parameters are filled in."""
    pieces = PARAMETER.split(operation.route)
    written = [json.dumps(pieces[0])]
    for name, kind, rest in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        several = json.dumps(kind == ":path")
        written.append(f"this.#connection.part(path[{json.dumps(name)}], {several})")
        if rest:
            written.append(json.dumps(rest))
    return " + ".join(written)
