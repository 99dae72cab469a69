"""``bentoml.catboost``: CatBoost's models, in its own binary format.

Source of names and files: _bentoml_impl/frameworks/catboost.py of BentoML 1.4
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

MODULE_NAME = "bentoml.catboost"
MODEL_FILENAME = "saved_model.cbm"


def load_model(bento_model: Model | Tag | str) -> Any:
    """Load a model of the class that was saved, such as :class:`catboost.CatBoostClassifier`.

    Args:
        bento_model: The model, or its tag.

    Raises:
        NotFound: There is no such model, or another module saved it.
        BentoMLException: CatBoost has no class of that name.
        MissingDependencyException: CatBoost is not installed.
    """
    model = opened(bento_model, MODULE_NAME)
    catboost = library("catboost", "catboost")
    name = getattr(model.info.options, "training_class_name", "CatBoost")
    kind = getattr(catboost, name, None)
    if not (isinstance(kind, type) and issubclass(kind, catboost.CatBoost)):
        raise BentoMLException(f"{name} is not a valid CatBoost class.")
    return kind().load_model(fname=model.path_of(MODEL_FILENAME))


def save_model(
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
        TypeError: It is no model of CatBoost.
        MissingDependencyException: CatBoost is not installed.
    """
    if not isinstance(model, library("catboost", "catboost").CatBoost):
        raise TypeError(f"Given model ({model}) is not a catboost.CatBoost.")
    options = ModelOptions(training_class_name=type(model).__name__)

    def write(made: Model) -> None:
        model.save_model(made.path_of(MODEL_FILENAME))

    return saved(
        name,
        MODULE_NAME,
        "catboost",
        write,
        signatures=signatures,
        details={**details, "options": options},
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

    return services.catboost_service(model_name, config)
