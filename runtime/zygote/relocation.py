"""How a copy of a zygote comes to stand in its own bento.

A zygote imported its modules from trees that bentos share; a plain start of this bento would have
imported them from the bento's root. The paths are put right in every place where Python keeps one:
the import path, and each module's ``__file__``, ``__path__``, ``__spec__`` and loader. So what is
imported or looked up later comes from the bento's own root. What stays is the file name in code
objects (tracebacks name the shared tree), and what modules computed from their path and kept.
"""

# pathlib resolves links, which a root may be made of.
# ruff: noqa: PTH112, PTH118, PTH208

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from bentofn.runtime import boot


def enter(root: str, former: Mapping[str, str]) -> dict[str, str]:
    """Make this process one of a bento: its import path, working directory and modules' paths.

    Args:
        root: The bento's root.
        former: ``runtime`` and ``env``: the trees that the modules were imported from.

    Returns:
        The places of the bento, as a boot process's options.
    """
    where = boot.places({"root": root}, "")
    moves = {former[name]: where[name] for name in ("runtime", "env")}
    own = boot.own_places(where)
    rest = [moved(entry, moves) for entry in sys.path]
    sys.path[:] = [*own, *(entry for entry in rest if entry not in own)]
    sys.argv[:] = [moved(sys.argv[0], moves), "instance"]
    for module in list(sys.modules.values()):
        _move(module, moves)
    for entry in [entry for entry in sys.path_importer_cache if moved(entry, moves) != entry]:
        del sys.path_importer_cache[entry]
    importlib.invalidate_caches()
    os.chdir(where["source"])
    return where


def shadowed(source: str) -> str | None:
    """A module of a project that another of the same name would keep from being imported.

    Args:
        source: The project's directory, which is the first place to import from.
    """
    for entry in sorted(os.listdir(source)):
        name, dot, _ = entry.partition(".")
        if name in sys.modules and (dot or _is_package(os.path.join(source, entry))):
            return name
    return None


def moved(path: str, moves: Mapping[str, str]) -> str:
    """A path with the directory replaced that it begins with, if it begins with one of these."""
    for old, new in moves.items():
        if path == old or path.startswith(old + os.sep):
            return new + path[len(old) :]
    return path


def _is_package(directory: str) -> bool:
    # One without is a namespace, which stands behind every other place.
    return os.path.isdir(directory) and any(
        name.startswith("__init__.") for name in os.listdir(directory)
    )


def _move(module: ModuleType, moves: Mapping[str, str]) -> None:
    # Past __getattr__, which may import.
    names = getattr(module, "__dict__", None)
    if not isinstance(names, dict):
        return
    for name in ("__file__", "__cached__"):
        _move_item(names, name, moves)
    _move_list(names.get("__path__"), moves)
    spec = names.get("__spec__")
    if spec is None:
        # It stands in for the module, which it holds, as those of torch.backends do.
        for held in names.values():
            if type(held) is ModuleType and held.__name__ == names.get("__name__"):
                _move(held, moves)
    for holder, name in (
        (spec, "origin"),
        (spec, "_cached"),
        (getattr(spec, "loader", None), "path"),
        (names.get("__loader__"), "path"),
    ):
        held = getattr(holder, "__dict__", None)
        if isinstance(held, dict):
            _move_item(held, name, moves)
    _move_list(getattr(spec, "submodule_search_locations", None), moves)


def _move_item(held: dict[str, Any], name: str, moves: Mapping[str, str]) -> None:
    value = held.get(name)
    if isinstance(value, str) and (new := moved(value, moves)) is not value:
        held[name] = new


def _move_list(paths: object, moves: Mapping[str, str]) -> None:
    # A namespace's is another type, which follows the import path by itself.
    if isinstance(paths, list):
        paths[:] = [moved(path, moves) if isinstance(path, str) else path for path in paths]
