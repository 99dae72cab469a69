"""``bentoml.mlflow``: MLflow's models, loaded by their python function.

Source of names and files: _bentoml_impl/frameworks/mlflow.py of BentoML 1.4
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentofn.runtime.errors import BentoMLException
from bentofn.runtime.frameworks.common import Framework, library
from bentofn.runtime.model import Model
from bentofn.runtime.models import get
from bentofn.runtime.tags import Tag

__all__ = ["get", "get_service", "import_model", "load_model"]

MODULE_NAME = "bentoml.mlflow"
MLFLOW_MODEL_FOLDER = "mlflow_model"
_MLMODEL = "MLmodel"
_PYFUNC = "python_function"


def _read(model: Model) -> Any:
    """An :class:`mlflow.pyfunc.PyFuncModel`."""
    return library("mlflow.pyfunc", "mlflow").load_model(model.path_of(MLFLOW_MODEL_FOLDER))


_MODELS = Framework(MODULE_NAME, "mlflow", _read)
load_model = _MODELS.load_model
get_service = _MODELS.get_service


def import_model(
    name: Tag | str,
    model_uri: str,
    *,
    signatures: Mapping[str, Any] | None = None,
    **details: Any,
) -> Model:
    """Put a model of MLflow into the store.

    Args:
        name: Its name; with a version, or it gets a new one.
        model_uri: Where MLflow has it: a folder, ``runs:/...`` or ``models:/...``.
        signatures: ``predict``, and nothing else.
        **details: ``labels``, ``metadata``, ``custom_objects``, ``external_modules``.

    Raises:
        BentoMLException: It is no model of MLflow, has no python function, or another method is
            asked for.
        MissingDependencyException: MLflow is not installed.
    """
    if signatures is not None and set(signatures) != {"predict"}:
        raise BentoMLException(
            "MLflow pyfunc model support only the `predict` method, "
            f"signatures={signatures} is not supported"
        )
    artifacts = library("mlflow.artifacts", "mlflow")

    def write(made: Model) -> None:
        with tempfile.TemporaryDirectory(prefix="bentofn-mlflow-") as scratch:
            found = artifacts.download_artifacts(artifact_uri=model_uri, dst_path=scratch)
            shutil.copytree(found, made.path / MLFLOW_MODEL_FOLDER)
        _check(made.path / MLFLOW_MODEL_FOLDER, model_uri)

    return _MODELS.save(name, write, signatures=signatures, details=details)


def _check(folder: Path, uri: str) -> None:
    if not (folder / _MLMODEL).is_file():
        raise BentoMLException(f'artifact "{uri}" is not a MLflow model')
    described = library("mlflow.models", "mlflow").Model.load(str(folder / _MLMODEL))
    if _PYFUNC not in described.flavors:
        raise BentoMLException(
            f'MLflow model "{uri}" does not support the required python_function flavor'
        )
