"""Modules of BentoML's inside that services import all the same, and what they find there."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from bentofn.runtime import surface

NAMES: Mapping[str, tuple[str, ...]] = {
    "_bentoml_impl": (),
    "_bentoml_impl.client": ("AsyncHTTPClient", "SyncHTTPClient"),
    "_bentoml_impl.loader": ("importing",),
    "_bentoml_sdk": (
        *("Dependency", "IODescriptor", "Service", "api", "asgi_app", "config:ServiceConfig"),
        *("depends", "get_current_service", "mount_asgi_app", "on_deployment", "on_shutdown"),
        *("on_startup", "service", "task"),
    ),
    "_bentoml_sdk.decorators": (
        *("api", "asgi_app", "on_deployment", "on_shutdown", "on_startup", "task"),
    ),
    "_bentoml_sdk.images": ("images.Image", "images.PythonImage"),
    "_bentoml_sdk.io_models": ("IODescriptor",),
    "_bentoml_sdk.method": ("api:APIMethod",),
    "_bentoml_sdk.models": (
        *("models.BentoModel", "models.HuggingFaceModel", "models:ModelDescriptor=Model"),
    ),
    "_bentoml_sdk.service": (
        *("Service", "config:ServiceConfig", "depends", "get_current_service", "service"),
        "current:set_current_service",
    ),
    "_bentoml_sdk.service.config": (
        *("config:ResourceSchema", "config:ServiceConfig", "config:TracingSchema"),
        "config:TrafficSchema",
    ),
    "_bentoml_sdk.service.dependency": ("Dependency", "depends"),
    "_bentoml_sdk.service.factory": ("Service", "service"),
    "_bentoml_sdk.validators": (
        *("validators.ContentType", "validators.DType", "validators.DataframeSchema"),
        *("validators.FileSchema", "validators.PILImageEncoder", "validators.Shape"),
        "validators.TensorSchema",
    ),
    "bentoml._internal": (),
    "bentoml._internal.utils": (),
    "bentoml._internal.utils.uri": ("uris:uri_to_path",),
}
"""Module to its names: of ``bentofn`` (``Service``), of a submodule of it (``images.Image``), or of
a module in ``bentofn.runtime`` (``api:APIMethod``), with ``=`` and the name to import it by."""

_ENTRY = re.compile(r"(?:(?P<public>\w+)\.|(?P<own>\w+):)?(?P<name>\w+)(?:=(?P<alias>\w+))?")


def reader(module: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module of the drop-in.

    Args:
        module: Its dotted name.
    """
    found = dict(map(_entry, NAMES[module]))

    def read(name: str) -> Any:
        if name in found:
            return found[name]()
        if name.startswith("__"):
            raise AttributeError(name)
        message = surface.absent(f"{module}.{name}")
        # ``from package import submodule`` first asks whether there is an attribute.
        is_package = hasattr(sys.modules[module], "__path__")
        raise AttributeError(message) if is_package else ImportError(message)

    return read


def names_of(module: str) -> list[str]:
    """The names of a module of the drop-in."""
    return [name for name, _ in map(_entry, NAMES[module])]


def carried() -> frozenset[str]:
    """Every dotted name of BentoML's that a service finds in the drop-in."""
    found = {"bentoml", "bentoml.__version__", *(f"bentoml.{name}" for name in surface.HOMES)}
    for module in surface.MODULES:
        names = importlib.import_module(f"bentofn.{module}").__all__
        found |= {f"bentoml.{module}", *(f"bentoml.{module}.{name}" for name in names)}
    for module in surface.FRAMEWORKS:
        names = surface.find("bentofn", module).__all__
        found |= {f"bentoml.{module}", *(f"bentoml.{module}.{name}" for name in names)}
    for module, entries in NAMES.items():
        found.add(module)
        for name, resolve in map(_entry, entries):
            with suppress(AttributeError):
                resolve()
                found.add(f"{module}.{name}")
    return frozenset(found)


def _entry(entry: str) -> tuple[str, Callable[[], Any]]:
    parsed = _ENTRY.fullmatch(entry)
    assert parsed is not None, entry
    name = parsed["name"]

    def resolve() -> Any:
        if parsed["own"]:
            return getattr(importlib.import_module(f"bentofn.runtime.{parsed['own']}"), name)
        if parsed["public"]:
            return getattr(surface.find("bentofn", parsed["public"]), name)
        return surface.find("bentofn", name)

    return parsed["alias"] or name, resolve
