"""The names of BentoML that a service's code uses, and those of them that bentofn does not carry.

Such a service keeps BentoML's own package. Only modules that the service imports count: what a
project's scripts use is not in the way.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping

PACKAGES = frozenset({"bentoml", "_bentoml_sdk", "_bentoml_impl", "bentoml_cli"})

_SDKS = PACKAGES | {"bentofn"}
_TAG = re.compile(r"[a-z0-9][a-z0-9._-]*(:[a-z0-9][a-z0-9._-]*)?")


def reached(sources: Mapping[str, bytes], service: str) -> list[ast.Module]:
    """The syntax of a service's module and of those of the project that it imports.

    Args:
        sources: Path in the bento to content of every Python file.
        service: ``module:Class`` or ``file.py:Class``.
    """
    module = service.partition(":")[0]
    waiting = [module if module.endswith(".py") else _path(module, sources)]
    seen: set[str] = set()
    trees: list[ast.Module] = []
    while waiting:
        path = waiting.pop()
        if path in seen or path not in sources:
            continue
        seen.add(path)
        try:
            tree = ast.parse(sources[path])
        except (SyntaxError, ValueError, RecursionError):
            continue
        _forget_type_checking(tree)
        trees.append(tree)
        waiting += [_path(name, sources) for name in _imported(tree, path)]
    return trees


def used_names(trees: Iterable[ast.Module]) -> frozenset[str]:
    """The dotted names of BentoML that modules use."""
    names = {name for tree in trees for name in _names(tree)}
    return frozenset(name for name in names if _package(name) in PACKAGES)


def imported_packages(trees: Iterable[ast.Module]) -> frozenset[str]:
    """The top-level modules that modules import, wherever they do."""
    found: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return frozenset(found)


def loaded_models(trees: Iterable[ast.Module]) -> tuple[str, ...]:
    """The tags that modules write out where they call ``get`` or ``load_model``, sorted.

    In a function, such a call runs only when the service starts.
    """
    found = set()
    for tree in trees:
        bound = _bound(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _loads(_resolved(node.func, bound)):
                tag = node.args[0] if node.args else None
                if isinstance(tag, ast.Constant) and _TAG.fullmatch(str(tag.value)):
                    found.add(str(tag.value))
    return tuple(sorted(found))


def missing_names(names: Iterable[str]) -> tuple[str, ...]:
    """Those of BentoML's names that the drop-in does not have, sorted."""
    return tuple(sorted(name for name in names if not _is_carried(name)))


def speaks_of_images(sources: Mapping[str, bytes]) -> bool:
    """Whether a file of a project makes an image by BentoML's SDK."""
    return any(
        b"images" in text and (b"bentoml" in text or b"bentofn" in text)
        for text in sources.values()
    )


def _is_carried(name: str) -> bool:
    from bentofn.runtime import inside, surface

    package, _, rest = name.partition(".")
    if package == "bentoml" and not rest.startswith("_internal"):
        first, _, deeper = rest.partition(".")
        if first in (*surface.MODULES, *surface.FRAMEWORKS):
            module = surface.find("bentofn", first)
            return not deeper or deeper.partition(".")[0] in module.__all__
        return first in surface.HOMES or not first or first.startswith("__")
    if name in inside.NAMES:
        return True
    module_name, _, last = name.rpartition(".")
    return module_name in inside.NAMES and last in inside.names_of(module_name)


def _names(tree: ast.Module) -> Iterator[str]:
    """Dotted names that a module reaches through its imports of BentoML."""
    bound = _bound(tree)
    yield from bound.values()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Attribute):
            name = _resolved(node, bound)
            if name is not None:
                yield name


def _bound(tree: ast.Module) -> dict[str, str]:
    """Name in a module to what of BentoML it means."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if _package(alias.name) in _SDKS:
                    top = alias.name if alias.asname else _package(alias.name)
                    bound[alias.asname or top] = top
        elif isinstance(node, ast.ImportFrom) and _is_sdk(node):
            for alias in node.names:
                name = f"{node.module}.{alias.name}".removesuffix(".*")
                bound[alias.asname or alias.name] = name
    return bound


def _resolved(node: ast.expr, bound: Mapping[str, str]) -> str | None:
    """The dotted name of BentoML that an expression means, two attributes deep at most."""
    parts = _dotted(node)
    return (
        None if parts is None or parts[0] not in bound else ".".join((bound[parts[0]], *parts[1:]))
    )


def _loads(name: str | None) -> bool:
    package, _, rest = (name or "").partition(".")
    return package in _SDKS and rest.endswith((".get", ".load_model"))


def _package(name: str) -> str:
    return name.partition(".")[0]


def _is_sdk(node: ast.ImportFrom) -> bool:
    return not node.level and _package(node.module or "") in _SDKS


def _dotted(node: ast.expr) -> list[str] | None:
    """The parts of ``a.b.c``, the first three at most."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return [node.id, *reversed(parts)][:3]


def _imported(tree: ast.Module, path: str) -> Iterator[str]:
    """Dotted names of the modules of the project that a module may import."""
    folder = path.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _path(module: str, sources: Mapping[str, bytes]) -> str:
    path = module.replace(".", "/")
    return f"{path}.py" if f"{path}.py" in sources else f"{path}/__init__.py"


def _forget_type_checking(tree: ast.Module) -> None:
    """Drop the bodies of ``if TYPE_CHECKING``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            node.body = [ast.Pass()]
