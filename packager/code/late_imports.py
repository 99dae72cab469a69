"""The imports inside of functions: a service's constructor often imports its framework there.

Importing the service does not run them, but a start does, so that their bytecode is shipped too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping


def late_imports(sources: Mapping[str, bytes]) -> tuple[str, ...]:
    """What functions of a project import.

    Args:
        sources: Path to content of every Python file of the project.

    Returns:
        ``module`` and ``module:name``, sorted; relative imports are left out, since they name the
        project's own modules, and so are files that are not Python.
    """
    found = {name for text in sources.values() for name in _in_file(text)}
    return tuple(sorted(found))


def _in_file(text: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return
    for function in ast.walk(tree):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                yield from _names(node)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
        for alias in node.names:
            yield node.module if alias.name == "*" else f"{node.module}:{alias.name}"
