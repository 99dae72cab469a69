"""Which folders of tests the rest of an environment imports, so that they are no rubbish.

``astropy`` imports ``astropy.tests`` when it is imported itself, and it is not alone.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

_MENTION = re.compile(rb"\btests?\b")
_DOTTED = re.compile(r"\w+(\.\w+)+")


def imported_folders(tree: Path, files: Iterable[str], folders: Collection[str]) -> set[str]:
    """The folders that an import statement, or a dotted name in a string, leads into.

    Args:
        tree: The environment.
        files: The Python files that stay, relative to it.
        folders: The candidates, relative to it, such as ``astropy/tests``.
    """
    modules = {folder.replace("/", "."): folder for folder in folders}
    found: set[str] = set()
    for file in files if modules else ():
        text = (tree / file).read_bytes()
        if not _MENTION.search(text):
            continue
        try:
            syntax = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for name in _names(syntax, file):
            found.update(modules[part] for part in _prefixes(name) if part in modules)
    return found


def _names(syntax: ast.Module, file: str) -> Iterator[str]:
    package = file.split("/")[:-1]
    for node in ast.walk(syntax):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{start}.{alias.name}" for alias in node.names)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and _DOTTED.fullmatch(node.value)
        ):
            yield node.value


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[:end]) for end in range(2, len(parts) + 1))
