"""Imports a service whose packages are not installed, to read what it says about its image.

A child process: what is not there is a stand-in, which answers whatever is asked of it. A module
of the project that cannot live with stand-ins becomes one itself.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

REAL = frozenset(
    {
        *("bentofn", "bentoml", "_bentoml_sdk", "_bentoml_impl", "pydantic", "pydantic_core"),
        *("typing_extensions", "annotated_types", "typing_inspection", "starlette", "anyio"),
        *("yaml", "packaging"),
    }
)
"""Packages beside the standard library's that are imported as they are."""


class StandIn(type):
    """The class of stand-ins, which are classes, so that annotations and bases can name them."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return make(f"{cls.__name__}.{name}")

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and callable(args[0]) and not isinstance(args[0], StandIn):
            return args[0]  # as a decorator
        return make(f"{cls.__name__}()")

    def __iter__(cls) -> Iterator[Any]:
        return iter(())

    def __enter__(cls) -> StandIn:
        return cls

    def __exit__(cls, *error: object) -> None:
        return None

    def __fspath__(cls) -> str:
        return "stand-in"

    def __len__(cls) -> int:
        return 0

    def __bool__(cls) -> bool:
        return True

    def __contains__(cls, item: object) -> bool:
        return False

    def __int__(cls) -> int:
        return 0

    __index__ = __int__

    def __float__(cls) -> float:
        return 0.0


def _itself(cls: StandIn, *others: object) -> StandIn:
    return cls


def _never(cls: StandIn, other: object) -> bool:
    return False


_OPERATORS = (
    *("getitem", "or", "ror", "and", "add", "radd", "sub", "rsub", "mul", "rmul", "truediv"),
    *("rtruediv", "floordiv", "mod", "pow", "neg", "invert", "matmul"),
)
for _name in _OPERATORS:
    setattr(StandIn, f"__{_name}__", _itself)
for _name in ("lt", "gt", "le", "ge"):
    setattr(StandIn, f"__{_name}__", _never)


def make(name: str) -> StandIn:
    """A stand-in; pydantic takes it for a type of which anything is a value."""
    return StandIn(name, (), {"__get_pydantic_core_schema__": classmethod(_anything)})


def _anything(cls: type, source: object, handler: object) -> object:
    from pydantic_core import core_schema

    return core_schema.any_schema()


class StandInModule(types.ModuleType):
    """A module of which every name is a stand-in."""

    __path__: list[str] = []  # noqa: RUF012 - what the import system looks for
    __version__ = "0"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return make(f"{self.__name__}.{name}")


class _Loader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return StandInModule(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


class _Careful(importlib.abc.Loader):
    """Loads a module of the project, and puts a stand-in in its place if it fails."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType | None:
        made: types.ModuleType | None = self.inner.create_module(spec)
        return made

    def exec_module(self, module: types.ModuleType) -> None:
        try:
            self.inner.exec_module(module)
        except Exception:
            sys.modules[module.__name__] = StandInModule(module.__name__)


class Finder(importlib.abc.MetaPathFinder):
    """Finds stand-ins for what files of the project import.

    Args:
        folders: Where the project's own modules are.
        service: The service's module, which must not become a stand-in.
    """

    def __init__(self, folders: Sequence[str], service: str) -> None:
        self.folders = list(folders)
        self.service = service
        self.found: set[str] = set()
        self.real = REAL | sys.stdlib_module_names

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        """As :class:`importlib.abc.MetaPathFinder` says."""
        top = name.partition(".")[0]
        if top in self.found:
            return self._stand_in(name)
        own = importlib.machinery.PathFinder.find_spec(name, path or self.folders)
        if own is not None and self._is_own(own):
            if own.loader is not None and name != self.service:
                own.loader = _Careful(own.loader)
            return own
        if _is_absent(name):
            return self._stand_in(name)
        if top in self.real or not self._asked_by_project():
            return None
        self.found.add(top)
        return self._stand_in(name)

    def _is_own(self, spec: importlib.machinery.ModuleSpec) -> bool:
        places = [spec.origin or "", *(spec.submodule_search_locations or ())]
        folders = tuple(f"{folder}{os.sep}" for folder in self.folders)
        return any(place.startswith(folders) and "site-packages" not in place for place in places)

    def _stand_in(self, name: str) -> importlib.machinery.ModuleSpec:
        return importlib.machinery.ModuleSpec(name, _Loader(), is_package=True)

    def _asked_by_project(self) -> bool:
        frame = sys._getframe(1)
        while frame.f_back is not None and _is_machinery(frame.f_code.co_filename):
            frame = frame.f_back
        return self._contains(frame.f_code.co_filename)

    def _contains(self, file: str) -> bool:
        return any(file.startswith(f"{folder}{os.sep}") for folder in self.folders)


def _is_absent(name: str) -> bool:
    from bentofn.runtime import surface

    package, _, rest = name.partition(".")
    return package == "bentoml" and rest.partition(".")[0] in surface.ABSENT


def _is_machinery(file: str) -> bool:
    return "importlib" in file or file == __file__


def main(said: Mapping[str, Any]) -> None:
    """Read a service's declaration.

    Args:
        said: ``project``, the ``folder`` of it to import from, the ``service``, and ``output``,
            the file to write to: ``{"name", "image", "models", "resources", "stand_ins"}``, or
            ``{"error"}``.
    """
    os.chdir(Path(said["project"]).resolve())
    answer = _read(said["service"], Path(said["folder"]).resolve())
    Path(said["output"]).write_text(json.dumps(answer), encoding="utf-8")


def _read(target: str, folder: Path) -> dict[str, Any]:
    from bentofn.runtime.images import Image, plain
    from bentofn.runtime.loading import load_service
    from bentofn.runtime.models import ModelDescriptor

    source = target.partition(":")[0]
    _answer_for_what_is_absent()
    finder = Finder([str(folder)], source.removesuffix(".py").replace("/", "."))
    sys.meta_path.insert(0, finder)
    try:
        service = load_service(target, folder)
    except BaseException as error:
        return {"error": str(error) or type(error).__name__}
    image = service.image
    return {
        "name": service.name,
        "image": plain(image) if isinstance(image, Image) else None,
        "models": [each.tag for each in service.models if isinstance(each, ModelDescriptor)],
        "resources": _plain(service.config.get("resources")),
        "stand_ins": sorted(finder.found),
    }


def _answer_for_what_is_absent() -> None:
    """Have names of BentoML that bentofn does not carry be stand-ins as well."""
    from bentofn.runtime import surface

    carried = surface.find

    def find(package: str, name: str) -> Any:
        try:
            return carried(package, name)
        except (AttributeError, ImportError):
            if name.startswith("__"):
                raise
            return make(f"{package}.{name}")

    surface.find = find


def _plain(value: object) -> Any:
    """A value as JSON types; what has none is left out."""
    encode: Callable[[object], str] = json.dumps
    try:
        return json.loads(encode(value))
    except (TypeError, ValueError):
        return None


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
