"""The Serverless Framework's ``${env:NAME, default}`` variables.

Source: https://www.serverless.com/framework/docs/guides/variables
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from bentofn.runtime.errors import UserError

_LITERALS: Mapping[str, object] = {"true": True, "false": False, "null": None}
_NUMBER = re.compile(r"-?\d+(\.\d+)?\Z")


def resolve(text: str, where: str, environ: Mapping[str, str]) -> object:
    """Replace the variables of one YAML string.

    Args:
        text: The string; one that is a single variable becomes what the variable stands for.
        where: The file and key path, for messages.
        environ: The environment variables.

    Raises:
        UserError: A variable has no value, or is of a source that is not supported. The message
            names the variable and never holds a value.
    """
    if "${" not in text:
        return text
    parts: list[object] = []
    position = 0
    while (start := text.find("${", position)) >= 0:
        end = _closing(text, start, where)
        if start > position:
            parts.append(text[position:start])
        parts.append(_variable(text[start + 2 : end], where, environ))
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


def _variable(inside: str, where: str, environ: Mapping[str, str]) -> object:
    for source in _sources(inside):
        if source.startswith("env:"):
            value = environ.get(source.removeprefix("env:"))
            if value is not None:
                return value
        elif source.startswith("${"):
            return resolve(source, where, environ)
        elif len(source) > 1 and source[0] == source[-1] and source[0] in "'\"":
            return source[1:-1]
        elif source in _LITERALS:
            return _LITERALS[source]
        elif _NUMBER.match(source):
            return float(source) if "." in source else int(source)
        else:
            kind = source.split(":")[0]
            raise UserError(
                f"{where}: the variable source {kind!r} is not supported; "
                "write ${env:NAME} or ${env:NAME, default}."
            )
    names = [s.removeprefix("env:") for s in _sources(inside) if s.startswith("env:")]
    raise UserError(
        f"{where}: environment variable {' or '.join(names) or '(unnamed)'} is not set; "
        "set it, or give a default as ${env:NAME, default}."
    )


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
