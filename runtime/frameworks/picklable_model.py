"""``bentoml.picklable_model``: any object, kept as cloudpickle writes it.

Source of names and files: bentoml/_internal/frameworks/picklable_model.py of BentoML 1.4
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bentofn.runtime.frameworks.common import OneFile, Writable, library
from bentofn.runtime.model import Model
from bentofn.runtime.models import get
from bentofn.runtime.tags import Tag

__all__ = ["get", "load_model", "save_model"]

MODULE_NAME = "bentoml.picklable_model"
MODEL_FILENAME = "saved_model.pkl"


def _read(model: Model) -> Any:
    """The object; it is unpickled."""
    with Path(model.path_of(MODEL_FILENAME)).open("rb") as file:
        return library("cloudpickle", "cloudpickle").load(file)


def _write(model: Any, path: str) -> None:
    with Path(path).open("wb") as file:
        library("cloudpickle", "cloudpickle").dump(model, file)


def save_model(
    name: Tag | str, model: Any, *, signatures: Mapping[str, Any] | None = None, **details: Any
) -> Model:
    """Save an object into the store.

    Args:
        name: Its name; with a version, or it gets a new one.
        model: The object.
        signatures: Its methods; by default ``__call__``.
        **details: ``labels``, ``metadata``, ``custom_objects``, ``external_modules``.

    Raises:
        MissingDependencyException: cloudpickle is not installed.
    """
    if signatures is None:
        signatures = {"__call__": {"batchable": False}}
    return _MODELS.save_model(name, model, signatures=signatures, **details)


def _writable(model: Any) -> Writable:
    return Writable(partial(_write, model))


_MODELS = OneFile(MODULE_NAME, "cloudpickle", _read, MODEL_FILENAME, _writable)
load_model = _MODELS.load_model
