"""The calls of a project that may open what a snapshot cannot hold, as text.

A change of any other line does not change what a service holds when it has started, so that the
build need not start it again to see.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

_OPENER = re.compile(
    "open|connect|client|session|socket|thread|process|popen|pool|executor|channel|engine|driver"
    "|producer|consumer|mmap|memmap|memory|watch|observ|lock|listen|bind|serve|start|spawn|fork"
    "|handler|temp|cuda|device|close|exit|stop|shutdown|delete|unlink",
    re.IGNORECASE,
)


def opener_calls(sources: Mapping[str, bytes]) -> list[str]:
    """Each such call with the function that it stands in; sorted.

    Args:
        sources: Path of each Python file to its text.
    """
    found = set()
    for path, text in sources.items():
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        found |= {f"{path}:{call}" for call in _calls(tree, "")}
    return sorted(found)


def _calls(node: ast.AST, inside: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        name = inside
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            # What it is decorated with may be a hook.
            marks = ",".join(ast.unparse(each) for each in child.decorator_list)
            name = f"{inside}.{child.name}[{marks}]"
        elif isinstance(child, ast.withitem):
            name = f"{inside}.with"
        elif isinstance(child, ast.Call) and _OPENER.search(ast.unparse(child.func)):
            yield f"{inside}: {ast.unparse(child)}"
        yield from _calls(child, name)
