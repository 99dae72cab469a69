"""``bentoml.lightgbm``: LightGBM's boosters, in its own text format.

Source of names and files: _bentoml_impl/frameworks/lightgbm.py of BentoML 1.4
"""

from __future__ import annotations

from typing import Any

from bentofn.runtime.frameworks.common import OneFile, Writable, library
from bentofn.runtime.model import Model
from bentofn.runtime.models import get

__all__ = ["get", "get_service", "load_model", "save_model"]

MODULE_NAME = "bentoml.lightgbm"
MODEL_FILENAME = "saved_model.ubj"
_OLDER_FILENAME = "saved_model.txt"


def _read(model: Model) -> Any:
    """A :class:`lightgbm.Booster`."""
    path = model.path / MODEL_FILENAME
    if not path.exists():
        path = model.path / _OLDER_FILENAME
    return library("lightgbm", "lightgbm").Booster(model_file=str(path))


def _writable(model: Any) -> Writable:
    """A booster, or that of one of LightGBM's estimators."""
    lightgbm = library("lightgbm", "lightgbm")
    booster = model.booster_ if isinstance(model, lightgbm.LGBMModel) else model
    if not isinstance(booster, lightgbm.Booster):
        raise TypeError(f"Given model ({model}) is not a lightgbm.basic.Booster.")
    return Writable(booster.save_model)


_MODELS = OneFile(MODULE_NAME, "lightgbm", _read, MODEL_FILENAME, _writable)
load_model = _MODELS.load_model
save_model = _MODELS.save_model
get_service = _MODELS.get_service
