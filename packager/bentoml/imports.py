"""Turns a service's ``import bentoml`` into ``import bentofn as bentoml``, and nothing else."""

from __future__ import annotations

import ast

_THEIRS, _OURS = "bentoml", "bentofn"


def adopt_imports(source: bytes) -> bytes:
    """A Python file that imports bentofn where it imported BentoML.

    Every other byte stays. What is no Python stays as it is: a build says so.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return source
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    lines = source.splitlines(keepends=True)
    # From the end, so that the places of those before stay right.
    for node in sorted(found, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        new = _renamed(node)
        if new is not None and node.end_lineno is not None and node.end_col_offset is not None:
            first, last = node.lineno - 1, node.end_lineno - 1
            before = lines[first][: node.col_offset]
            after = lines[last][node.end_col_offset :]
            lines[first : last + 1] = [before + ast.unparse(new).encode() + after]
    return b"".join(lines)


def _renamed(node: ast.Import | ast.ImportFrom) -> ast.stmt | None:
    if isinstance(node, ast.ImportFrom):
        if node.level or node.module is None or not _is_theirs(node.module):
            return None
        return ast.ImportFrom(_OURS + node.module[len(_THEIRS) :], node.names, 0)
    if not any(_is_theirs(alias.name) for alias in node.names):
        return None
    names = []
    for alias in node.names:
        if not _is_theirs(alias.name):
            names.append(alias)
            continue
        ours = _OURS + alias.name[len(_THEIRS) :]
        if alias.asname is None:
            names.append(ast.alias(_OURS, _THEIRS))
        if alias.asname is not None or ours != _OURS:
            names.append(ast.alias(ours, alias.asname))
    return ast.Import(names)


def _is_theirs(module: str) -> bool:
    return module == _THEIRS or module.startswith(f"{_THEIRS}.")
