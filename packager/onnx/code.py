"""Which files of a project a module's code reaches, and whether it declares an export.

Imports are followed wherever they stand, functions included, because the code that makes a torch
module is meant to import torch, and what needs it, when it is called.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

_ANY = frozenset({"importlib", "__import__", "runpy", "pkgutil", "exec"})
"""Names of what may import any file of a project."""

_NO_DATA = frozenset({".md", ".rst", ".yaml", ".yml"})
"""Suffixes of files beside the code that a model is not made of."""


def reached(module: str, sources: Mapping[str, bytes]) -> list[str]:
    """The Python files of a project that importing a module may run, itself included, sorted.

    Args:
        module: A dotted name or a path, such as ``model`` or ``nets/model.py``.
        sources: Path to content of every Python file of the project.
    """
    left = list(_files_of(module.removesuffix(".py").replace("/", "."), sources))
    found: set[str] = set()
    while left:
        path = left.pop()
        if path in found:
            continue
        found.add(path)
        try:
            tree = ast.parse(sources[path])
        except (SyntaxError, ValueError, RecursionError):
            return sorted(sources)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and node.id in _ANY:
                return sorted(sources)
            for name in _imported(node, path):
                left += _files_of(name, sources)
    return sorted(found)


def code_digest(module: str, sources: Mapping[str, bytes], others: Mapping[str, str]) -> str:
    """SHA-256 of all of a project that a module's result may depend on, in hex.

    Args:
        module: As :func:`reached` takes it.
        sources: Path to content of every Python file of the project.
        others: Path to digest of every other file.
    """
    digest = hashlib.sha256()
    for path in reached(module, sources):
        digest.update(f"{hashlib.sha256(sources[path]).hexdigest()} {path}\n".encode())
    for path, content in sorted(others.items()):
        if PurePosixPath(path).suffix not in _NO_DATA:
            digest.update(f"{content} {path}\n".encode())
    return digest.hexdigest()


def declares_onnx(module: str, sources: Mapping[str, bytes]) -> bool:
    """Whether a module, or what it reaches, has a call with ``runtime="onnx"``."""
    candidates = [path for path, text in sources.items() if b"onnx" in text]
    if not candidates:
        return False
    return any(_declares(sources[path]) for path in reached(module, sources) if path in candidates)


def imports_any(text: bytes, packages: Collection[str]) -> bool:
    """Whether a Python file that can be parsed imports one of some packages, anywhere in it."""
    return any(
        name.partition(".")[0] in packages
        for node in ast.walk(ast.parse(text))
        if not (isinstance(node, ast.ImportFrom) and node.level)
        for name in _imported(node, "")
    )


def _declares(text: bytes) -> bool:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return any(
        keyword.arg == "runtime"
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value == "onnx"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
    )


def _imported(node: ast.AST, path: str) -> Iterator[str]:
    """The dotted names of modules that a statement may import, if it is one that imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            package = PurePosixPath(path).parent.parts
            package = package[: len(package) - (node.level - 1)]
            base = ".".join((*package, *filter(None, [base])))
        yield base
        yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _files_of(name: str, sources: Mapping[str, bytes]) -> Iterator[str]:
    """The files that importing a dotted name runs: its packages', and its own."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        stem = "/".join(parts[:length])
        yield from (path for path in (f"{stem}/__init__.py", f"{stem}.py") if path in sources)
