"""The part of a project's code that importing it can run, as a digest.

A service's contract is read by importing the service, which may import a large framework. After a
change inside a function that cannot run at import, the contract is the same; this module says when
that is so. It errs on the side of importing again:

- Kept whole: module-level and class-level statements, decorators, defaults, annotations,
  signatures, docstrings, and whether a function is a generator.
- A function's body is left out only if nothing that is kept mentions the function's name (as a
  name, an attribute, or a word of a string), its decorators are known not to call it, and it is
  not a special method. Bodies that are kept are searched for names in turn.
- A class keeps all of its bodies if anything kept mentions its name, or if it has a base, a
  keyword such as ``metaclass``, an unknown decorator, or an attribute made by an unknown call: each
  of these may call its methods by names that do not appear in the project.
- If kept code reaches for names dynamically (``globals``, ``getattr`` with a computed name, a
  module handed to somebody as a value...), everything is kept.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bentofn.packager.code.mentions import AnyName, Mentions, without_doc

Function: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"

SDKS = frozenset({"bentofn", "bentoml"})
"""Packages whose decorators and calls are known not to call what they are given at import."""

_SAFE_BUILTINS = frozenset({"staticmethod", "classmethod", "property"})
_SPECIAL = re.compile(r"__\w+__")
_LAZY_SPECIAL = frozenset({"__init__", "__call__"})


@dataclass
class _Class:
    name: str
    plain: bool
    outer: _Class | None

    def runs(self, mentioned: set[str]) -> bool:
        if not self.plain or self.name in mentioned:
            return True
        return self.outer is not None and self.outer.runs(mentioned)


@dataclass
class _Module:
    path: str
    tree: ast.Module
    sdk: set[str]
    bound: set[str]
    mentions: Mentions
    functions: list[tuple[Function, _Class | None]] = field(default_factory=list)


def import_surface(sources: Mapping[str, bytes], others: Mapping[str, str]) -> str:
    """Digest of all that can change what importing the project does, in hex.

    Args:
        sources: Path to content of every Python file of the project.
        others: Path to digest of every other file.
    """
    digest = hashlib.sha256()
    for path, content in sorted(others.items()):
        digest.update(f"file {path} {content}\n".encode())
    try:
        parts = _kept(sources)
    except (AnyName, SyntaxError, ValueError, RecursionError):
        parts = {path: hashlib.sha256(text).hexdigest() for path, text in sources.items()}
        digest.update(b"whole\n")
    for path, part in sorted(parts.items()):
        digest.update(f"module {path} {len(part)}\n{part}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _kept(sources: Mapping[str, bytes]) -> dict[str, str]:
    local = {name for path in sources for name in _module_names(path)}
    if local & SDKS:
        raise AnyName
    modules = [_module(path, text, local) for path, text in sorted(sources.items())]
    kept: set[int] = set()
    for module in modules:
        module.mentions.add(_Cut(kept).visit(module.tree))
    while True:
        mentioned = {name for module in modules for name in module.mentions.names}
        fresh = [(m, f) for m in modules for f in _called(m, mentioned) if id(f) not in kept]
        if not fresh:
            return {module.path: ast.dump(_Cut(kept).visit(module.tree)) for module in modules}
        for module, function in fresh:
            kept.add(id(function))
            for statement in without_doc(function):
                module.mentions.add(statement)


def _module(path: str, text: bytes, local: set[str]) -> _Module:
    tree = ast.parse(text, path)
    sdk = _sdk_names(tree)
    module = _Module(path, tree, sdk, _bound(tree), Mentions(_local_modules(tree, local), sdk))
    _find(module, tree.body, None)
    return module


def _module_names(path: str) -> Iterator[str]:
    """The names that a project file may be imported by, in part."""
    yield from (part for part in path.removesuffix(".py").split("/") if part != "__init__")


def _local_modules(tree: ast.Module, local: set[str]) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {
                alias.asname or alias.name.split(".")[0]
                for alias in node.names
                if alias.name.split(".")[-1] in local
            }
    return names


def _find(module: _Module, body: list[ast.stmt], owner: _Class | None) -> None:
    """Collect the functions that run only when called, without those inside of them."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            module.functions.append((node, owner))
        elif isinstance(node, ast.ClassDef):
            _find(module, node.body, _Class(node.name, _is_plain(node, module), owner))
        else:
            for blocks in ("body", "orelse", "finalbody"):
                _find(module, getattr(node, blocks, []), owner)
            for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
                _find(module, part.body, owner)


def _called(module: _Module, mentioned: set[str]) -> Iterator[Function]:
    for function, owner in module.functions:
        special = _SPECIAL.fullmatch(function.name) is not None
        if owner is not None and function.name in _LAZY_SPECIAL:
            special = False
        if (
            special
            or function.name in mentioned
            or (owner is not None and owner.runs(mentioned))
            or not all(_is_safe(item, module) for item in function.decorator_list)
        ):
            yield function


def _is_plain(node: ast.ClassDef, module: _Module) -> bool:
    bases = [
        base for base in node.bases if not (isinstance(base, ast.Name) and base.id == "object")
    ]
    if bases or node.keywords or getattr(node, "type_params", None):
        return False
    if not all(_is_safe(item, module) for item in node.decorator_list):
        return False
    return all(_is_plain_statement(item, module) for item in node.body)


def _is_plain_statement(node: ast.stmt, module: _Module) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass)):
        return True
    if isinstance(node, (ast.Assign, ast.AnnAssign, ast.Expr)):
        value = node.value
        if value is None or (isinstance(value, ast.Call) and _is_safe(value, module)):
            return True
        allowed = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp)
        context = (ast.expr_context, ast.unaryop)
        return all(isinstance(part, (*allowed, *context)) for part in ast.walk(value))
    return False


def _is_safe(node: ast.expr, module: _Module) -> bool:
    """Whether a decorator or a call is the SDK's, or a builtin that only wraps."""
    if isinstance(node, ast.Call):
        node = node.func
    if isinstance(node, ast.Name) and node.id in _SAFE_BUILTINS:
        return not {node.id, "*"} & module.bound
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name) and node.id in module.sdk and "*" not in module.bound


def _sdk_names(tree: ast.Module) -> set[str]:
    """Names that mean the SDK everywhere in a module."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in SDKS:
                    names.add(alias.asname or alias.name.split(".")[0])
        elif isinstance(node, ast.ImportFrom) and _origin(node) in SDKS:
            names |= {alias.asname or alias.name for alias in node.names}
    return names - _bound(tree, imports_of=SDKS)


def _bound(tree: ast.Module, imports_of: frozenset[str] = frozenset()) -> set[str]:
    """Every name that a module binds anywhere, but not by importing the given packages."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.Import):
            names |= {
                alias.asname or alias.name.split(".")[0]
                for alias in node.names
                if alias.name.split(".")[0] not in imports_of
            }
        elif isinstance(node, ast.ImportFrom) and _origin(node) not in imports_of:
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _origin(node: ast.ImportFrom) -> str:
    return "" if node.level else (node.module or "").split(".")[0]


class _Cut(ast.NodeTransformer):
    """Replaces the bodies of functions, outside of lambdas, by their docstring."""

    def __init__(self, kept: set[int]) -> None:
        self.kept = kept

    def _function(self, node: Function) -> ast.AST:
        if id(node) in self.kept:
            return node
        has_doc = ast.get_docstring(node, clean=False) is not None
        generator = any(isinstance(part, (ast.Yield, ast.YieldFrom)) for part in _own(node))
        marker = ast.Expr(ast.Constant(generator))
        return _copy(node, {"body": [*(node.body[:1] if has_doc else []), marker]})

    visit_FunctionDef = _function  # noqa: N815 - the name is ast's
    visit_AsyncFunctionDef = _function  # noqa: N815

    def generic_visit(self, node: ast.AST) -> ast.AST:
        # Copies, since the tree is cut more than once.
        values: dict[str, object] = {}
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                values[name] = [self.visit(v) if isinstance(v, ast.AST) else v for v in value]
            elif isinstance(value, ast.AST):
                values[name] = self.visit(value)
        return _copy(node, values)


def _copy(node: ast.AST, values: Mapping[str, object]) -> ast.AST:
    kind: Any = type(node)
    copy: ast.AST = kind(**{**dict(ast.iter_fields(node)), **values})
    return copy


def _own(function: Function) -> Iterator[ast.AST]:
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            stack.extend(ast.iter_child_nodes(node))
