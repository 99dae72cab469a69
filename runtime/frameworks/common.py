"""What the modules of all frameworks do alike."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bentofn.runtime.errors import MissingDependencyException, NotFound
from bentofn.runtime.model import Model
from bentofn.runtime.models import get
from bentofn.runtime.tags import Tag

if TYPE_CHECKING:
    from bentofn.runtime.service import Service


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


@dataclass(frozen=True)
class Framework:
    """A framework whose models are saved and loaded.

    Args:
        module: The module that loads them, such as ``bentoml.sklearn``.
        package: The library's package.
        read: Loads a model that the module saved.
    """

    module: str
    package: str
    read: Callable[[Model], Any]

    def load_model(self, bento_model: Model | Tag | str) -> Any:
        """Load a model.

        Args:
            bento_model: The model, or its tag.

        Raises:
            NotFound: There is no such model, or another module saved it.
            BentoMLException: The library has no class of the name that the model was saved with.
            MissingDependencyException: The library is not installed.
        """
        model = bento_model if isinstance(bento_model, Model) else get(bento_model)
        saved_by = model.info.module
        if saved_by != self.module:
            raise NotFound(
                f"Model {model.tag} was saved with module {saved_by or 'none'}, not loading with "
                f"{self.module}."
            )
        return self.read(model)

    def get_service(self, model_name: str, **config: Any) -> Service[Any]:
        """A service with ``predict``.

        Args:
            model_name: The model's tag.
            **config: The service's configuration.

        Raises:
            NotFound: There is no such model.
        """
        from bentofn.runtime.frameworks.services import SERVICES

        return SERVICES[self.module](model_name, config)

    def save(
        self,
        name: Tag | str,
        write: Callable[[Model], object],
        *,
        signatures: Mapping[str, Any] | None,
        details: Mapping[str, Any],
    ) -> Model:
        """Save a model into the store.

        Args:
            name: Its name; with a version, or it gets a new one.
            write: Writes its files.
            signatures: Its methods; by default ``predict``.
            details: What else :func:`bentofn.models.create` takes.
        """
        from bentofn import models
        from bentofn.runtime.modelinfo import ModelContext

        library_name = self.module.rpartition(".")[2]
        context = ModelContext(library_name, {self.package: _version(self.package, library_name)})
        signed = {"predict": {"batchable": False}} if signatures is None else signatures
        with models.create(
            name, module=self.module, signatures=signed, context=context, **details
        ) as model:
            write(model)
        return model


@dataclass(frozen=True)
class Writable:
    """A model in memory.

    Args:
        write: Writes it into a file.
        details: What else :func:`bentofn.models.create` is told of it.
    """

    write: Callable[[str], object]
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OneFile(Framework):
    """A framework each of whose models is one file.

    Args:
        file: The file's name.
        writable: How a model is written; it raises TypeError for what is none.
    """

    file: str
    writable: Callable[[Any], Writable]

    def save_model(
        self,
        name: Tag | str,
        model: Any,
        *,
        signatures: Mapping[str, Any] | None = None,
        **details: Any,
    ) -> Model:
        """Save a model into the store.

        Args:
            name: Its name; with a version, or it gets a new one.
            model: The model.
            signatures: Its methods; by default ``predict``.
            **details: ``labels``, ``metadata``, ``custom_objects``, ``external_modules``.

        Raises:
            TypeError: It is no model of the framework.
            MissingDependencyException: The library is not installed.
        """
        found = self.writable(model)
        return self.save(
            name,
            lambda made: found.write(made.path_of(self.file)),
            signatures=signatures,
            details={**details, **found.details},
        )


def _version(package: str, module: str) -> str:
    """The version of a library, which may come from a package of another name (xgboost-cpu)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        others = importlib.metadata.packages_distributions().get(module, ())
        return next(map(importlib.metadata.version, others), "")
