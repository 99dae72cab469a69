"""The names that a piece of Python code uses, or the fact that it may use any."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field

_WORD = re.compile(r"[^\W\d]\w*")
_DYNAMIC_NAMES = frozenset({"compile", "eval", "exec", "vars", "dir", "locals"})
"""Dynamic as a bare name, but common as another object's method (``re.compile``)."""
_DYNAMIC = frozenset(
    {
        *("globals", "inspect", "gc", "ctypes", "runpy", "subprocess", "multiprocessing"),
        *("popen", "linecache", "tokenize", "ast", "methodcaller", "attrgetter"),
        *("pickle", "joblib", "dill", "cloudpickle", "marshal", "settrace", "setprofile"),
        *("builtins", "__builtins__", "__dict__", "__subclasses__", "__import__"),
        *("__getattribute__", "__globals__", "_getframe", "currentframe", "f_globals"),
    }
)
_READS = frozenset({"open", "read", "read_text", "read_bytes", "readlines"})
_COMPUTED = frozenset({"getattr", "setattr", "hasattr", "delattr"})


class AnyName(Exception):  # noqa: N818 - it says what the code may use, not that something failed
    """The code may reach any function of the project."""


@dataclass
class Mentions:
    """The names that the kept code of one module uses.

    Args:
        modules: Names by which the module knows other modules of the project.
        sdk: Names by which it knows the SDK.
        names: All names found: identifiers, attributes, keywords, words of strings.
    """

    modules: set[str]
    sdk: set[str]
    names: set[str] = field(default_factory=set)

    def add(self, root: ast.AST) -> None:
        """Search a piece of kept code.

        Raises:
            AnyName: It may use any name.
        """
        stack: list[ast.AST] = [root]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.Name):
                self._name(node.id)
            elif isinstance(node, ast.Attribute):
                stack += self._attribute(node)
            elif isinstance(node, ast.Constant):
                if isinstance(node.value, str):
                    self.names.update(_WORD.findall(node.value))
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                self._import(node)
            else:
                stack += self._inside(node)
        if "__file__" in self.names and self.names & _READS:
            raise AnyName

    def _name(self, name: str) -> None:
        if name in _DYNAMIC or name in _DYNAMIC_NAMES or name in self.modules:
            raise AnyName
        if name == "__name__":
            raise AnyName
        self.names.add(name)

    def _attribute(self, node: ast.Attribute) -> list[ast.AST]:
        if node.attr in _DYNAMIC:
            raise AnyName
        self.names.add(node.attr)
        if not isinstance(node.value, ast.Name):
            return [node.value]
        base = node.value.id
        replaced = base in self.sdk and not isinstance(node.ctx, ast.Load)
        if base in _DYNAMIC or replaced or (base, node.attr) == ("os", "system"):
            raise AnyName
        self.names.add(base)
        return []

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        origin = node.module or "" if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names:
            if {origin.split(".")[0], alias.name.split(".")[0]} & _DYNAMIC:
                raise AnyName
            if alias.asname:
                self.names.add(alias.name.split(".")[-1])

    def _inside(self, node: ast.AST) -> list[ast.AST]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            parts: list[ast.AST] = [*node.decorator_list, node.args, *without_doc(node)]
            return [*parts, node.returns] if node.returns else parts
        if isinstance(node, (ast.ClassDef, ast.Module)):
            doc = node.body[: len(node.body) - len(without_doc(node))]
            return [child for child in ast.iter_child_nodes(node) if child not in doc]
        if isinstance(node, ast.If) and _is_main_guard(node):
            return list(node.orelse)
        if isinstance(node, ast.Call):
            if _is_computed(node):
                raise AnyName
            if _is_logger(node):
                return [node.func]
        if isinstance(node, ast.keyword) and node.arg:
            self.names.add(node.arg)
        return [] if _is_all(node) else list(ast.iter_child_nodes(node))


def without_doc(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> list[ast.stmt]:
    """A body without its docstring: that is read by people, and its words call nothing."""
    return node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body


def _is_computed(node: ast.Call) -> bool:
    if not isinstance(node.func, ast.Name) or node.func.id not in _COMPUTED:
        return False
    return len(node.args) < 2 or not isinstance(node.args[1], ast.Constant)


def _is_main_guard(node: ast.If) -> bool:
    return ast.unparse(node.test) in ("__name__ == '__main__'", "'__main__' == __name__")


def _is_logger(node: ast.Call) -> bool:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else None
    name = node.func.id if isinstance(node.func, ast.Name) else name
    return name == "getLogger" and [ast.unparse(arg) for arg in node.args] == ["__name__"]


def _is_all(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["__all__"]
