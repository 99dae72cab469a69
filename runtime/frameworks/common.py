"""What the modules of all frameworks do alike."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any

from bentofn.runtime.errors import MissingDependencyException, NotFound
from bentofn.runtime.model import Model
from bentofn.runtime.models import get
from bentofn.runtime.tags import Tag


def library(name: str, package: str) -> Any:
    """A framework's library.

    Args:
        name: The module to import.
        package: What it is called where packages are installed from.

    Raises:
        MissingDependencyException: It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingDependencyException(
            f"bentoml.{name.partition('.')[0]} needs {package}: install {package}, and list it "
            "under python.packages."
        ) from error


def opened(model: Model | Tag | str, module: str) -> Model:
    """A model that a module saved.

    Args:
        model: The model, or its tag.
        module: The module, such as ``bentoml.sklearn``.

    Raises:
        NotFound: There is no such model, or another module saved it.
    """
    found = model if isinstance(model, Model) else get(model)
    saved_by = found.info.module
    if saved_by != module:
        raise NotFound(
            f"Model {found.tag} was saved with module {saved_by or 'none'}, not loading with "
            f"{module}."
        )
    return found


def saved(
    name: Tag | str,
    module: str,
    package: str,
    write: Callable[[Model], None],
    *,
    signatures: Mapping[str, Any] | None,
    details: Mapping[str, Any],
) -> Model:
    """Save a model into the store.

    Args:
        name: Its name; with a version, or it gets a new one.
        module: The module that loads it.
        package: The library's package.
        write: Writes its files.
        signatures: Its methods; by default ``predict``.
        details: What else :func:`bentofn.models.create` takes.
    """
    from bentofn import models
    from bentofn.runtime.modelinfo import ModelContext

    name_of_framework = module.rpartition(".")[2]
    context = ModelContext(name_of_framework, {package: _version(package, name_of_framework)})
    signed = {"predict": {"batchable": False}} if signatures is None else signatures
    with models.create(name, module=module, signatures=signed, context=context, **details) as model:
        write(model)
    return model


def _version(package: str, module: str) -> str:
    """The version of a library, which may come from a package of another name (xgboost-cpu)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        others = importlib.metadata.packages_distributions().get(module, ())
        return next(map(importlib.metadata.version, others), "")
