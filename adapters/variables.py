"""The Serverless Framework's variables: ``${env:NAME, default}``, ``${self:custom.x}`` and others.

Source: https://www.serverless.com/framework/docs/guides/variables
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bentofn.runtime.errors import UserError

_LITERALS: Mapping[str, object] = {"true": True, "false": False, "null": None}
_NUMBER = re.compile(r"-?\d+(\.\d+)?\Z")
_DEEPEST = 20
"""Variables that stand for variables; more than that refer to themselves."""


@dataclass(frozen=True)
class Scope:
    """What variables are read from.

    Args:
        environ: The environment variables.
        document: The whole file, for ``${self:...}``.
        depth: How many variables led here.
    """

    environ: Mapping[str, str] = field(repr=False)
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    depth: int = 0


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
    return "".join("" if part is None else str(part) for part in parts)


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
        return f"${{{inside}}}"  # CloudFormation's own, which the framework leaves alone too
    sources = _sources(inside)
    for source in sources:
        kind, _, name = source.partition(":")
        if kind == "env":
            value: object = scope.environ.get(name)
        elif kind in ("self", "sls", "param"):
            value = _of_file(kind, name, where, scope)
        elif kind == "opt":
            value = None  # an option of the framework's command line
        elif source.startswith("${"):
            return resolve(source, where, scope)
        elif len(source) > 1 and source[0] == source[-1] and source[0] in "'\"":
            return source[1:-1]
        elif source in _LITERALS:
            return _LITERALS[source]
        elif _NUMBER.match(source):
            return float(source) if "." in source else int(source)
        else:
            raise UserError(
                f"{where}: the variable source {kind!r} is not supported; "
                "write ${env:NAME} or ${env:NAME, default}."
            )
        if value is not None:
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


def _of_file(kind: str, name: str, where: str, scope: Scope) -> object:
    """What the file itself says."""
    if kind == "self":
        return _at(name.split("."), where, scope)
    stage = _at(["provider", "stage"], where, scope) or "dev"
    if kind == "sls":
        return stage if name == "stage" else None
    if kind == "param":
        for path in (
            ["params", str(stage), name],
            ["stages", str(stage), "params", name],
            ["params", "default", name],
            ["stages", "default", "params", name],
        ):
            value = _at(path, where, scope)
            if value is not None:
                return value
    return None


def _at(path: list[str], where: str, scope: Scope) -> object:
    value: Any = scope.document
    deeper = Scope(scope.environ, scope.document, scope.depth + 1)
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
        if isinstance(value, str):
            value = resolve(value, where, deeper)
    return value


def _sources(inside: str) -> list[str]:
    """Split at the commas that stand outside of quotes and nested variables."""
    sources, current, depth, quote = [], "", 0, ""
    for character in inside:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "{}":
            depth += 1 if character == "{" else -1
        elif character == "," and depth == 0:
            sources.append(current.strip())
            current = ""
            continue
        current += character
    sources.append(current.strip())
    return sources
