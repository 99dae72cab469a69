"""The services that ``get_service`` makes; only their users pay for numpy's import.

Source of names and parameters: _bentoml_impl/frameworks of BentoML 1.4
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bentofn.runtime.api import api
from bentofn.runtime.declare import service
from bentofn.runtime.frameworks import catboost, lightgbm, mlflow, xgboost
from bentofn.runtime.frameworks.common import library
from bentofn.runtime.models import get
from bentofn.runtime.service import Service


def catboost_service(name: str, config: Mapping[str, Any]) -> Service[Any]:
    """A model of CatBoost that predicts."""

    class CatBoostService:
        bento_model = get(name)

        def __init__(self) -> None:
            self.model = catboost.load_model(self.bento_model)
            on_gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "") not in ("", "-1")
            self.options: dict[str, Any] = {"task_type": "GPU" if on_gpu else "CPU"}
            if not on_gpu:
                self.options["thread_count"] = _threads(-1)

        @api
        def predict(self, input_data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            pool = library("catboost", "catboost").Pool(input_data)
            return np.asarray(self.model.predict(data=pool, **self.options))

    return service(**config)(CatBoostService)


def lightgbm_service(name: str, config: Mapping[str, Any]) -> Service[Any]:
    """A booster of LightGBM that predicts."""

    class LightGBMService:
        bento_model = get(name)

        def __init__(self) -> None:
            self.model = lightgbm.load_model(self.bento_model)

        @api
        def predict(
            self,
            data: np.ndarray[Any, Any],
            start_iteration: int = 0,
            num_iteration: int | None = None,
            raw_score: bool = False,
            pred_leaf: bool = False,
            pred_contrib: bool = False,
            data_has_header: bool = False,
            validate_features: bool = False,
            kwargs: dict[str, Any] | None = None,
        ) -> np.ndarray[Any, Any]:
            found = self.model.predict(
                data=data,
                start_iteration=start_iteration,
                num_iteration=num_iteration,
                raw_score=raw_score,
                pred_leaf=pred_leaf,
                pred_contrib=pred_contrib,
                data_has_header=data_has_header,
                validate_features=validate_features,
                **(kwargs or {}),
            )
            if isinstance(found, list):
                return np.asarray([each.toarray() for each in found])
            return np.asarray(found.toarray() if hasattr(found, "toarray") else found)

    return service(**config)(LightGBMService)


def mlflow_service(name: str, config: Mapping[str, Any]) -> Service[Any]:
    """A model of MLflow that predicts."""

    class MLflowService:
        bento_model = get(name)

        def __init__(self) -> None:
            self.model = mlflow.load_model(self.bento_model)

        @api
        def predict(self, input_data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return np.asarray(self.model.predict(input_data))

    return service(**config)(MLflowService)


def xgboost_service(name: str, config: Mapping[str, Any]) -> Service[Any]:
    """A booster or an estimator of XGBoost that predicts; the two take other options."""
    model = get(name)
    if getattr(model.info.options, "model_class", "Booster") == "Booster":
        return _xgboost_booster(name, config)
    return _xgboost_estimator(name, config)


def _xgboost_booster(name: str, config: Mapping[str, Any]) -> Service[Any]:
    class XGBoostService:
        bento_model = get(name)

        def __init__(self) -> None:
            self.model = xgboost.load_model(self.bento_model)
            _set_device(self.model)

        @api
        def predict(
            self,
            data: np.ndarray[Any, Any],
            output_margin: bool = False,
            pred_leaf: bool = False,
            pred_contribs: bool = False,
            approx_contribs: bool = False,
            pred_interactions: bool = False,
            validate_features: bool = True,
            training: bool = False,
            iteration_range: tuple[int, int] = (0, 0),
            strict_shape: bool = False,
        ) -> np.ndarray[Any, Any]:
            matrix = library("xgboost", "xgboost").DMatrix(data)
            found: np.ndarray[Any, Any] = self.model.predict(
                matrix,
                output_margin=output_margin,
                pred_leaf=pred_leaf,
                pred_contribs=pred_contribs,
                approx_contribs=approx_contribs,
                pred_interactions=pred_interactions,
                validate_features=validate_features,
                training=training,
                iteration_range=iteration_range,
                strict_shape=strict_shape,
            )
            return found

    return service(**config)(XGBoostService)


def _xgboost_estimator(name: str, config: Mapping[str, Any]) -> Service[Any]:
    class XGBoostService:
        bento_model = get(name)

        def __init__(self) -> None:
            self.model = xgboost.load_model(self.bento_model)
            _set_device(self.model.get_booster())

        @api
        def predict(
            self,
            data: np.ndarray[Any, Any],
            output_margin: bool = False,
            validate_features: bool = True,
            base_margin: list[Any] | None = None,
            iteration_range: tuple[int, int] | None = None,
        ) -> np.ndarray[Any, Any]:
            found: np.ndarray[Any, Any] = self.model.predict(
                data,
                output_margin=output_margin,
                validate_features=validate_features,
                base_margin=base_margin,
                iteration_range=iteration_range,
            )
            return found

    return service(**config)(XGBoostService)


def _set_device(booster: Any) -> None:
    on_gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "") not in ("", "-1")
    booster.set_param({"device": "cuda"} if on_gpu else {"nthread": _threads(1)})


def _threads(default: int) -> int:
    """Threads that a prediction may use, by OpenMP's variable."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return max(int(said), 1) if said.isdigit() else default


SERVICES: Mapping[str, Callable[[str, Mapping[str, Any]], Service[Any]]] = {
    catboost.MODULE_NAME: catboost_service,
    lightgbm.MODULE_NAME: lightgbm_service,
    mlflow.MODULE_NAME: mlflow_service,
    xgboost.MODULE_NAME: xgboost_service,
}
"""The module that loads a model, to what makes a service of its name and configuration."""
