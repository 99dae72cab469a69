"""``bentoml.xgboost``: XGBoost's models, in its own binary JSON.

Source of names and files: _bentoml_impl/frameworks/xgboost.py of BentoML 1.4
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.frameworks.common import library, opened, saved
from bentofn.runtime.model import Model
from bentofn.runtime.modelinfo import ModelOptions
from bentofn.runtime.models import get
from bentofn.runtime.tags import Tag

if TYPE_CHECKING:
    from bentofn.runtime.service import Service

__all__ = ["ModelOptions", "get", "get_service", "load_model", "save_model"]

MODULE_NAME = "bentoml.xgboost"
MODEL_FILENAME = "saved_model.ubj"
API_VERSION = "v2"


def load_model(bento_model: Model | Tag | str) -> Any:
    """Load a :class:`xgboost.Booster`, or the estimator that was saved.

    Args:
        bento_model: The model, or its tag.

    Raises:
        NotFound: There is no such model, or another module saved it.
        BentoMLException: XGBoost has no class of that name.
        MissingDependencyException: XGBoost is not installed.
    """
    model = opened(bento_model, MODULE_NAME)
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


def save_model(
    name: Tag | str,
    model: Any,
    *,
    signatures: Mapping[str, Any] | None = None,
    **details: Any,
) -> Model:
    """Save a booster or an estimator into the store.

    Args:
        name: Its name; with a version, or it gets a new one.
        model: The booster or the estimator.
        signatures: Its methods; by default ``predict``.
        **details: ``labels``, ``metadata``, ``custom_objects``, ``external_modules``.

    Raises:
        TypeError: It is neither.
        MissingDependencyException: XGBoost is not installed.
    """
    xgboost = library("xgboost", "xgboost")
    # XGBoost has estimators only where scikit-learn is installed.
    kinds = (xgboost.Booster, *filter(None, [getattr(xgboost, "XGBModel", None)]))
    if not isinstance(model, kinds):
        raise TypeError(f"Given model ({model}) is not a xgboost.Booster.")
    is_booster = isinstance(model, xgboost.Booster)
    options = ModelOptions(model_class="Booster" if is_booster else type(model).__name__)

    def write(made: Model) -> None:
        model.save_model(made.path_of(MODEL_FILENAME))

    return saved(
        name,
        MODULE_NAME,
        "xgboost",
        write,
        signatures=signatures,
        details={**details, "options": options, "api_version": API_VERSION},
    )


def get_service(model_name: str, **config: Any) -> Service[Any]:
    """A service with ``predict``.

    Args:
        model_name: The model's tag.
        **config: The service's configuration.

    Raises:
        NotFound: There is no such model.
    """
    from bentofn.runtime.frameworks import services

    return services.xgboost_service(model_name, config)
