"""A client in Python: bentofn's own, with the types of one service."""

from __future__ import annotations

import keyword
import re

from bentofn.packager.clients.header import header
from bentofn.packager.clients.interface import Described, build_interface
from bentofn.packager.clients.names import identifier, pascal_case
from bentofn.packager.clients.python_classes import HTTP, Classes
from bentofn.packager.clients.python_types import PythonTypes, docstring

_EXTENSIONS = ("Any", "Literal", "Never", "NotRequired", "TypeAlias", "TypedDict", "Unpack")
_IMPORTS = {
    "collections.abc": ("AsyncIterator", "Iterator", "Mapping", "Sequence"),
    "pathlib": ("Path", "PurePath"),
    "typing": ("IO", "TYPE_CHECKING"),
    "typing_extensions": _EXTENSIONS,
    "bentofn.runtime.client": ("AsyncTask", "Task"),
}
_NAMES = frozenset(name for names in _IMPORTS.values() for name in names) | {"File", "Self"}
_FILE = '''\
File: TypeAlias = "str | PurePath | bytes | IO[bytes]"
"""What is sent as a file: a path or a URL, a file's content, or an open file."""


'''


def python_client(described: Described) -> str:
    """The source of a client. Endpoints whose route has parameters are left out: bentofn's own
    clients, which it calls, cannot fill them.

    Args:
        described: The service.

    Raises:
        UserError: One of its schemas refers to what is not there.
    """
    taken = {"close", HTTP, *keyword.kwlist}
    members = {}
    for operation in sorted(described.operations, key=lambda each: each.name):
        if not operation.parameters:
            members[operation.name] = identifier(operation.name, taken)
            taken.add(members[operation.name])
    tasks = {each.name for each in described.operations if each.is_task} & members.keys()
    stem = f"{pascal_case(described.name)}Client"
    classes = Classes(stem, (members[name] for name in sorted(tasks)))
    reserved = {*_NAMES, *keyword.kwlist, *classes.names}
    interface = build_interface(described, reserved)
    types = PythonTypes()
    declarations = [
        types.declaration(name, schema, is_sent=name in interface.sent)
        for name, schema in interface.types.items()
    ]
    methods = [
        (members[each.operation.name], each)
        for each in interface.operations
        if each.operation.name in members
    ]
    written = classes.written(interface.name, methods, types)
    body = "\n\n".join([*declarations, *written])
    if re.search(r"\bFile\b", body):
        body = _FILE + body
    top = docstring(header(interface.name, "python"), "")
    return f"{top}\n{_imports(body, types.libraries)}\n\n{body}"


def _imports(body: str, libraries: set[str]) -> str:
    words = set(re.findall(r"\w+", body))
    if libraries:
        words.add("TYPE_CHECKING")
    blocks = [["from __future__ import annotations"], [], ["import bentofn"]]
    for module, names in _IMPORTS.items():
        used = [name for name in names if name in words]
        if used:
            block = 2 if module.startswith("bentofn") else 1
            blocks[block].append(f"from {module} import {', '.join(used)}")
    if libraries:
        blocks.append(["if TYPE_CHECKING:", *(f"    import {each}" for each in sorted(libraries))])
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"
