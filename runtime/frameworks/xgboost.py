"""``bentoml.xgboost``: XGBoost's models, in its own binary JSON.

Source of names and files: _bentoml_impl/frameworks/xgboost.py of BentoML 1.4
"""

from __future__ import annotations

from typing import Any

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.frameworks.common import OneFile, Writable, library
from bentofn.runtime.model import Model
from bentofn.runtime.modelinfo import ModelOptions
from bentofn.runtime.models import get

__all__ = ["ModelOptions", "get", "get_service", "load_model", "save_model"]

MODULE_NAME = "bentoml.xgboost"
MODEL_FILENAME = "saved_model.ubj"
API_VERSION = "v2"


def _read(model: Model) -> Any:
    """A :class:`xgboost.Booster`, or the estimator that was saved."""
    xgboost = library("xgboost", "xgboost")
    path = model.path_of(MODEL_FILENAME)
    if model.info.api_version == "v1":
        return xgboost.Booster(model_file=path)
    name = getattr(model.info.options, "model_class", None)
    kind = getattr(xgboost, name or "", None)
    if kind is None:
        raise BentoMLException(
            f"The model {model.tag} is a {name} of XGBoost, which is not there; of an estimator, "
            "install scikit-learn."
        )
    loaded = kind()
    loaded.load_model(path)
    return loaded


def _writable(model: Any) -> Writable:
    xgboost = library("xgboost", "xgboost")
    # XGBoost has estimators only where scikit-learn is installed.
    kinds = (xgboost.Booster, *filter(None, [getattr(xgboost, "XGBModel", None)]))
    if not isinstance(model, kinds):
        raise TypeError(f"Given model ({model}) is not a xgboost.Booster.")
    is_booster = isinstance(model, xgboost.Booster)
    options = ModelOptions(model_class="Booster" if is_booster else type(model).__name__)
    return Writable(model.save_model, {"options": options, "api_version": API_VERSION})


_MODELS = OneFile(MODULE_NAME, "xgboost", _read, MODEL_FILENAME, _writable)
load_model = _MODELS.load_model
save_model = _MODELS.save_model
get_service = _MODELS.get_service
