"""``bentoml.sklearn``: scikit-learn's models, kept as joblib writes them.

Source of names and files: _bentoml_impl/frameworks/sklearn.py of BentoML 1.4
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bentofn.runtime.frameworks.common import library, opened, saved
from bentofn.runtime.model import Model
from bentofn.runtime.models import get
from bentofn.runtime.tags import Tag

__all__ = ["get", "load_model", "save_model"]

MODULE_NAME = "bentoml.sklearn"
MODEL_FILENAME = "saved_model.pkl"


def load_model(bento_model: Model | Tag | str) -> Any:
    """Load an estimator; it is unpickled.

    Args:
        bento_model: The model, or its tag.

    Raises:
        NotFound: There is no such model, or another module saved it.
        MissingDependencyException: scikit-learn is not installed.
    """
    model = opened(bento_model, MODULE_NAME)
    library("sklearn", "scikit-learn")
    return library("joblib", "joblib").load(model.path_of(MODEL_FILENAME))


def save_model(
    name: Tag | str,
    model: Any,
    *,
    signatures: Mapping[str, Any] | None = None,
    **details: Any,
) -> Model:
    """Save an estimator into the store.

    Args:
        name: Its name; with a version, or it gets a new one.
        model: The estimator.
        signatures: Its methods; by default ``predict``.
        **details: ``labels``, ``metadata``, ``custom_objects``, ``external_modules``.

    Raises:
        TypeError: It is no estimator.
        MissingDependencyException: scikit-learn is not installed.
    """
    if not isinstance(model, library("sklearn.base", "scikit-learn").BaseEstimator):
        raise TypeError(f"Given model ({model}) is not a sklearn.base.BaseEstimator.")

    def write(made: Model) -> None:
        library("joblib", "joblib").dump(model, made.path_of(MODEL_FILENAME))

    return saved(name, MODULE_NAME, "scikit-learn", write, signatures=signatures, details=details)
