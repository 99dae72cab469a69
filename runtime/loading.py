"""Finding the service that a target names."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from bentofn.runtime import surface
from bentofn.runtime.errors import UserError
from bentofn.runtime.service import Service

_BENTOML = ("bentoml", "_bentoml_sdk")
_OWN = f"bentofn serves it by its own bentoml where {surface.STOCK} is not set."


def load_service(target: str, directory: Path | None = None) -> Service[Any]:
    """Import a service.

    Args:
        target: ``module:Name``, ``module``, ``file.py:Name`` or ``file.py``; ``Name.attribute`` is
            the service that ``Name`` depends on by that attribute.
        directory: The project, which becomes the first place to import from; by default the
            working directory.

    Raises:
        UserError: The module cannot be imported, or holds no such service, or several.
    """
    project = (directory or Path()).resolve()
    source, _, name = target.partition(":")
    module_name = _module_name(source, project)
    if _keeps_bentoml():
        from bentofn.runtime import stock

        stock.prepare()
    _put_first(project)
    module = _import(module_name, target, project)
    return _named(module, name, target) if name else _only(module, target)


def _module_name(source: str, project: Path) -> str:
    if not source.endswith(".py"):
        return source
    path = project / source
    if not path.is_file():
        raise UserError(f"There is no {source} in {project}; name the file that holds the service.")
    if not path.resolve().is_relative_to(project):
        raise UserError(f"{source} is outside the project {project}; serve it from its own folder.")
    parts = path.resolve().relative_to(project).with_suffix("").parts
    if any("." in part for part in parts):
        raise UserError(f"{source} cannot be imported: rename it to a valid Python module name.")
    return ".".join(parts)


def _put_first(project: Path) -> None:
    first = [str(project)]
    if not _keeps_bentoml() and surface.dropin() not in sys.path:
        first.append(surface.dropin())
    if sys.path[: len(first)] != first:
        sys.path[:] = [*first, *(each for each in sys.path if each not in first)]
    importlib.invalidate_caches()


def _import(module_name: str, target: str, project: Path) -> ModuleType:
    _forget_namesake(module_name, project)
    try:
        return importlib.import_module(module_name)
    except UserError as error:
        # A declaration's own message is already clear; it only lacks the place.
        raise UserError(f"{_place(error, project)}: {error}") from error
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            raise UserError(
                f"There is no module {error.name!r} in {project} for the service {target!r}; "
                'name it as "module:Class" or "file.py:Class".'
            ) from error
        if error.name == "bentoml":
            raise UserError(f"{_place(error, project)}: {error}; {_OWN}") from error
        raise UserError(
            f"{_place(error, project)}: {error}, while importing {target!r}; install it, and "
            "list it under python.packages in bentofile.yaml."
        ) from error
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{_place(error, project)}: {type(error).__name__}: {_first_line(error).rstrip('.')}, "
            f"while importing {target!r}."
        ) from error


def _forget_namesake(module_name: str, project: Path) -> None:
    """Drop a module of that name that came from another project in this process."""
    top = module_name.partition(".")[0]
    known = sys.modules.get(top)
    here = [project / f"{top}.py", project / top / "__init__.py"]
    if known is None or not any(path.is_file() for path in here):
        return
    if Path(getattr(known, "__file__", None) or "") not in here:
        for name in [each for each in sys.modules if each == top or each.startswith(f"{top}.")]:
            del sys.modules[name]


def _place(error: BaseException, project: Path) -> str:
    """``file:line`` of the user's code that an error comes from."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(Path(error.filename), project)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(project)]
    outside = [frame for frame in own if "site-packages" not in frame.filename]
    if not outside:
        return str(project)
    return f"{_shown(Path(outside[-1].filename), project)}:{outside[-1].lineno}"


def _shown(path: Path, project: Path) -> str:
    return str(path.relative_to(project)) if path.is_relative_to(project) else str(path)


def _first_line(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return text.strip().partition("\n")[0] or "no message"


def _named(module: ModuleType, name: str, target: str) -> Service[Any]:
    value: Any = module
    for part in name.split("."):
        inner = value.dependencies.get(part) if isinstance(value, Service) else None
        value = getattr(value, part, None) if inner is None else inner.on
    value = _adopted(value, module, name)
    if isinstance(value, Service):
        return value
    services = _services(module)
    known = f"it declares {', '.join(sorted(services))}" if services else "it declares none"
    if type(value).__module__.partition(".")[0] in _BENTOML:
        raise UserError(f"{target}: {name} is a service of BentoML's own package; {_OWN}")
    if isinstance(value, type):
        raise UserError(f"{target}: the class {name} is not decorated with @bentofn.service.")
    raise UserError(f"{target}: {module.__name__} has no service {name!r}; {known}.")


def _only(module: ModuleType, target: str) -> Service[Any]:
    services = _services(module)
    own = {
        name: each for name, each in services.items() if each.inner.__module__ == module.__name__
    }
    candidates = _independent(own or services)
    if not candidates:
        raise UserError(f"{target} declares no service: decorate its class with @bentofn.service.")
    if len(set(candidates.values())) > 1:
        names = " or ".join(f"{target}:{name}" for name in sorted(candidates))
        raise UserError(f"{target} declares several services; say which one: {names}.")
    return next(iter(candidates.values()))


def _independent(services: dict[str, Service[Any]]) -> dict[str, Service[Any]]:
    """The services that no other one depends on, as BentoML chooses; all if that is none."""
    needed = {
        id(each)
        for service in services.values()
        for each in service.all_services().values()
        if each is not service
    }
    entries = {name: each for name, each in services.items() if id(each) not in needed}
    return entries or services


def _services(module: ModuleType) -> dict[str, Service[Any]]:
    values = {name: _adopted(value, module, name) for name, value in vars(module).items()}
    return {name: value for name, value in values.items() if isinstance(value, Service)}


def _adopted(value: Any, module: ModuleType, name: str) -> Any:
    """A value; a service of BentoML's own package, where that is kept, as one of ours."""
    if not _keeps_bentoml() or isinstance(value, Service):
        return value
    from bentofn.runtime.stock import StockService, is_stock

    return StockService(value, f"{module.__name__}:{name}") if is_stock(value) else value


def _keeps_bentoml() -> bool:
    return os.environ.get(surface.STOCK) == "1"
