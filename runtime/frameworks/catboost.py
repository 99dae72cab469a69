"""``bentoml.catboost``: CatBoost's models, in its own binary format.

Source of names and files: _bentoml_impl/frameworks/catboost.py of BentoML 1.4
"""

from __future__ import annotations

from typing import Any

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.frameworks.common import OneFile, Writable, library
from bentofn.runtime.model import Model
from bentofn.runtime.modelinfo import ModelOptions
from bentofn.runtime.models import get

__all__ = ["ModelOptions", "get", "get_service", "load_model", "save_model"]

MODULE_NAME = "bentoml.catboost"
MODEL_FILENAME = "saved_model.cbm"


def _read(model: Model) -> Any:
    """A model of the class that was saved, such as :class:`catboost.CatBoostClassifier`."""
    catboost = library("catboost", "catboost")
    name = getattr(model.info.options, "training_class_name", "CatBoost")
    kind = getattr(catboost, name, None)
    if not (isinstance(kind, type) and issubclass(kind, catboost.CatBoost)):
        raise BentoMLException(f"{name} is not a valid CatBoost class.")
    return kind().load_model(fname=model.path_of(MODEL_FILENAME))


def _writable(model: Any) -> Writable:
    if not isinstance(model, library("catboost", "catboost").CatBoost):
        raise TypeError(f"Given model ({model}) is not a catboost.CatBoost.")
    options = ModelOptions(training_class_name=type(model).__name__)
    return Writable(model.save_model, {"options": options})


_MODELS = OneFile(MODULE_NAME, "catboost", _read, MODEL_FILENAME, _writable)
load_model = _MODELS.load_model
save_model = _MODELS.save_model
get_service = _MODELS.get_service
