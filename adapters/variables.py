"""The Serverless Framework's variables: ``${env:NAME, default}``, ``${self:custom.x}`` and others.

Source: https://www.serverless.com/framework/docs/guides/variables
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import UserError

CLOUD_FORMATION = "${AWS::"
"""How CloudFormation's own variables begin, which the framework leaves alone too."""

_LITERALS: Mapping[str, object] = {"true": True, "false": False, "null": None}
_NUMBER = re.compile(r"-?\d+(\.\d+)?\Z")
_FILE = re.compile(r"file\((?P<path>[^()]+)\)(?::(?P<key>.+))?\Z", re.DOTALL)
_DEEPEST = 20
"""Variables that stand for variables; more than that refer to themselves."""

_INSTEAD: Mapping[str, str] = {
    "ssm": "name it under custom.bentofn.functions.NAME.secrets, as VARIABLE: ssm:/path",
    "cf": "bentofn reads no CloudFormation stack; write the value, or ${env:NAME}",
    "s3": "copy the value into a file, as ${file(values.yml):key}, or write ${env:NAME}",
    "aws": "write the value, or ${env:NAME}",
    "git": "write ${env:NAME}, and set it with git",
    "file": "it is ${file(values.yml):key}, of a YAML, JSON or text file",
}
"""Sources that only the framework reads, and what to write in their place."""


@dataclass(frozen=True)
class Scope:
    """What variables are read from.

    Args:
        environ: The environment variables.
        document: The whole file, for ``${self:...}``.
        depth: How many variables led here.
        directory: The file's folder, for ``${file(...)}``.
        options: What the command line says, for ``${opt:...}``.
    """

    environ: Mapping[str, str] = field(repr=False)
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    depth: int = 0
    directory: Path = Path()
    options: Mapping[str, str] = field(default_factory=dict)

    def deeper(self) -> Scope:
        """The same for a variable that another one stands for."""
        return dataclasses.replace(self, depth=self.depth + 1)


def resolve(text: str, where: str, scope: Scope) -> object:
    """Replace the variables of one YAML string.

    Args:
        text: The string; one that is a single variable becomes what the variable stands for.
        where: The file and key path, for messages.
        scope: What the variables are read from.

    Raises:
        UserError: A variable has no value, or is of a source that is not supported. The message
            names the variable and never holds a value.
    """
    if "${" not in text:
        return text
    if scope.depth > _DEEPEST:
        raise UserError(f"{where}: its variables refer to themselves.")
    parts: list[object] = []
    position = 0
    while (start := text.find("${", position)) >= 0:
        end = _closing(text, start, where)
        if start > position:
            parts.append(text[position:start])
        parts.append(_variable(text[start + 2 : end], where, scope))
        position = end + 1
    if position < len(text):
        parts.append(text[position:])
    if len(parts) == 1:
        return parts[0]
    if any(isinstance(part, Mapping | list) for part in parts):
        raise UserError(f"{where}: a variable in the midst of a text is no text itself.")
    return "".join("" if part is None else str(part) for part in parts)


def stage_of(where: str, scope: Scope) -> str:
    """The framework's stage: the command line's, the file's, or ``dev``."""
    return str(scope.options.get("stage") or _at(["provider", "stage"], where, scope) or "dev")


def _closing(text: str, start: int, where: str) -> int:
    depth = 0
    for index in range(start, len(text)):
        if text.startswith("${", index):
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    raise UserError(f"{where}: a variable that opens with ${{ is not closed; add the }}.")


def _variable(inside: str, where: str, scope: Scope) -> object:
    if inside.startswith("AWS::"):
        return f"${{{inside}}}"
    sources = _sources(inside)
    for source in sources:
        value = _value(source, where, scope)
        if value is not None or source == "null":
            return value
    named = [source for source in sources if source]
    if all(source.startswith("env:") for source in named):
        names = " or ".join(source.removeprefix("env:") for source in named)
        raise UserError(
            f"{where}: environment variable {names or '(unnamed)'} is not set; "
            "set it, or give a default as ${env:NAME, default}."
        )
    raise UserError(
        f"{where}: the variable {', '.join(named)} has no value; give it one, or a default as "
        f"${{{named[0]}, default}}."
    )


def _value(source: str, where: str, scope: Scope) -> object:
    """What one of a variable's sources says; None where it says nothing."""
    if "${" in source:
        if source.startswith("${") and _closing(source, 0, where) == len(source) - 1:
            return resolve(source, where, scope.deeper())
        inner = str(resolve(source, where, scope.deeper()))  # a variable in another one's name
        return _named(inner, source, where, scope)
    return _named(source, source, where, scope)


def _named(source: str, written: str, where: str, scope: Scope) -> object:
    """What a source says; messages have it as it is written, without the values in its name."""
    if len(source) > 1 and source[0] == source[-1] and source[0] in "'\"":
        return source[1:-1]
    if source in _LITERALS:
        return _LITERALS[source]
    if _NUMBER.match(source):
        return float(source) if "." in source else int(source)
    file = _FILE.match(source)
    if file is not None:
        return _of_other_file(file["path"].strip(), file["key"], written, where, scope)
    kind, _, name = source.partition(":")
    if kind == "env":
        return scope.environ.get(name)
    if kind == "opt":
        return scope.options.get(name)
    if kind in ("self", "sls", "param"):
        return _of_file(kind, name, where, scope)
    instead = next(
        (_INSTEAD[each] for each in _INSTEAD if re.match(rf"{each}\b", kind)),
        "write ${env:NAME} or ${env:NAME, default}",
    )
    told = written if "${" in written else kind
    raise UserError(f"{where}: the variable source {told!r} is not supported; {instead}.")


def _of_file(kind: str, name: str, where: str, scope: Scope) -> object:
    """What the file itself says."""
    if kind == "self":
        return _at(name.split("."), where, scope)
    stage = stage_of(where, scope)
    if kind == "sls":
        return stage if name == "stage" else None
    for path in (
        ["params", stage, name],
        ["stages", stage, "params", name],
        ["params", "default", name],
        ["stages", "default", "params", name],
    ):
        value = _at(path, where, scope)
        if value is not None:
            return value
    return None


def _of_other_file(given: str, key: str | None, written: str, where: str, scope: Scope) -> object:
    """What a file beside this one says; None where there is none."""
    # Here, because it is for files that have such a variable.
    from bentofn.adapters.yamlfile import read_yaml

    path = scope.directory / Path(given).expanduser()
    if not path.is_file():
        return None
    if path.suffix in (".yml", ".yaml", ".json"):
        found = read_yaml(path)
    elif path.suffix in (".js", ".cjs", ".mjs", ".ts"):
        raise UserError(
            f"{where}: {written} is what a program says; bentofn reads YAML, JSON and text files."
        )
    else:
        try:
            found = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{where}: {written} is not UTF-8 text; save it as UTF-8.") from None
    return _down(found, key.split(".") if key else [], where, scope)


def _at(path: list[str], where: str, scope: Scope) -> object:
    return _down(scope.document, path, where, scope)


def _down(value: Any, path: list[str], where: str, scope: Scope) -> object:
    """What stands at a path below a value, by keys and by numbers in lists."""
    for key in ("", *path):
        if key and isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        elif key:
            if not isinstance(value, Mapping) or key not in value:
                return None
            value = value[key]
        if isinstance(value, str):
            value = resolve(value, where, scope.deeper())
    found: object = value
    return found


def _sources(inside: str) -> list[str]:
    """Split at the commas that stand outside of quotes, parentheses and nested variables."""
    sources, current, depth, quote = [], "", 0, ""
    for character in inside:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "{}()":
            depth += 1 if character in "{(" else -1
        elif character == "," and depth == 0:
            sources.append(current.strip())
            current = ""
            continue
        current += character
    sources.append(current.strip())
    return sources
