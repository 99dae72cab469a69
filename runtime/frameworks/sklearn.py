"""``bentoml.sklearn``: scikit-learn's models, kept as joblib writes them.

Source of names and files: _bentoml_impl/frameworks/sklearn.py of BentoML 1.4
"""

from __future__ import annotations

from functools import partial
from typing import Any

from bentofn.runtime.frameworks.common import OneFile, Writable, library
from bentofn.runtime.model import Model
from bentofn.runtime.models import get

__all__ = ["get", "load_model", "save_model"]

MODULE_NAME = "bentoml.sklearn"
MODEL_FILENAME = "saved_model.pkl"


def _read(model: Model) -> Any:
    """An estimator; it is unpickled."""
    library("sklearn", "scikit-learn")
    return library("joblib", "joblib").load(model.path_of(MODEL_FILENAME))


def _writable(model: Any) -> Writable:
    if not isinstance(model, library("sklearn.base", "scikit-learn").BaseEstimator):
        raise TypeError(f"Given model ({model}) is not a sklearn.base.BaseEstimator.")
    return Writable(partial(library("joblib", "joblib").dump, model))


_MODELS = OneFile(MODULE_NAME, "scikit-learn", _read, MODEL_FILENAME, _writable)
load_model = _MODELS.load_model
save_model = _MODELS.save_model
