"""``bentoml.lightgbm``: LightGBM's boosters, in its own text format.

Source of names and files: _bentoml_impl/frameworks/lightgbm.py of BentoML 1.4
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bentofn.runtime.frameworks.common import library, opened, saved
from bentofn.runtime.model import Model
from bentofn.runtime.models import get
from bentofn.runtime.tags import Tag

if TYPE_CHECKING:
    from bentofn.runtime.service import Service

__all__ = ["get", "get_service", "load_model", "save_model"]

MODULE_NAME = "bentoml.lightgbm"
MODEL_FILENAME = "saved_model.ubj"
_OLDER_FILENAME = "saved_model.txt"


def load_model(bento_model: Model | Tag | str) -> Any:
    """Load a :class:`lightgbm.Booster`.

    Args:
        bento_model: The model, or its tag.

    Raises:
        NotFound: There is no such model, or another module saved it.
        MissingDependencyException: LightGBM is not installed.
    """
    model = opened(bento_model, MODULE_NAME)
    path = model.path / MODEL_FILENAME
    if not path.exists():
        path = model.path / _OLDER_FILENAME
    return library("lightgbm", "lightgbm").Booster(model_file=str(path))


def save_model(
    name: Tag | str,
    model: Any,
    *,
    signatures: Mapping[str, Any] | None = None,
    **details: Any,
) -> Model:
    """Save a booster, or that of one of LightGBM's estimators, into the store.

    Args:
        name: Its name; with a version, or it gets a new one.
        model: The booster.
        signatures: Its methods; by default ``predict``.
        **details: ``labels``, ``metadata``, ``custom_objects``, ``external_modules``.

    Raises:
        TypeError: It is no booster.
        MissingDependencyException: LightGBM is not installed.
    """
    lightgbm = library("lightgbm", "lightgbm")
    booster = model.booster_ if isinstance(model, lightgbm.LGBMModel) else model
    if not isinstance(booster, lightgbm.Booster):
        raise TypeError(f"Given model ({model}) is not a lightgbm.basic.Booster.")

    def write(made: Model) -> None:
        booster.save_model(made.path_of(MODEL_FILENAME))

    return saved(name, MODULE_NAME, "lightgbm", write, signatures=signatures, details=details)


def get_service(model_name: str, **config: Any) -> Service[Any]:
    """A service with ``predict``.

    Args:
        model_name: The model's tag.
        **config: The service's configuration.

    Raises:
        NotFound: There is no such model.
    """
    from bentofn.runtime.frameworks import services

    return services.lightgbm_service(model_name, config)
