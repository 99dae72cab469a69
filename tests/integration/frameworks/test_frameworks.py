"""The modules of frameworks: what they save they load, as does BentoML by its names and files."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bentofn
from bentofn.exceptions import BentoMLException, MissingDependencyException, NotFound

ROWS = np.random.default_rng(0).random((80, 4))
TARGETS = (ROWS[:, 0] > 0.5).astype(int)


@dataclass(frozen=True)
class Case:
    """A model of a framework: how it is made, and the file that BentoML reads it from."""

    framework: str
    file: str
    make: Callable[[], Any]
    predict: Callable[[Any], Any]


def sklearn_model() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit(ROWS, TARGETS)


def lightgbm_model() -> Any:
    import lightgbm

    options = {"objective": "binary", "verbose": -1, "num_leaves": 3, "num_threads": 1}
    return lightgbm.train(options, lightgbm.Dataset(ROWS, TARGETS), 3)


def xgboost_model() -> Any:
    xgboost = pytest.importorskip("xgboost")
    return xgboost.train(
        {"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(ROWS, TARGETS), 3
    )


def xgboost_estimator() -> Any:
    xgboost = pytest.importorskip("xgboost")
    return xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(ROWS, TARGETS)


def catboost_model() -> Any:
    catboost = pytest.importorskip("catboost")
    options = {"iterations": 3, "verbose": False, "allow_writing_files": False, "thread_count": 1}
    return catboost.CatBoostClassifier(**options).fit(ROWS, TARGETS)


def anything() -> Any:
    pytest.importorskip("cloudpickle")
    return lambda rows: np.asarray(rows) * 2  # no pickle of Python's own holds one


def matrix(rows: Any) -> Any:
    import xgboost

    return xgboost.DMatrix(rows)


CASES = {
    "sklearn": Case("sklearn", "saved_model.pkl", sklearn_model, lambda m: m.predict(ROWS)),
    "lightgbm": Case("lightgbm", "saved_model.ubj", lightgbm_model, lambda m: m.predict(ROWS)),
    "xgboost": Case("xgboost", "saved_model.ubj", xgboost_model, lambda m: m.predict(matrix(ROWS))),
    "xgboost estimator": Case(
        "xgboost", "saved_model.ubj", xgboost_estimator, lambda m: m.predict(ROWS)
    ),
    "picklable": Case("picklable_model", "saved_model.pkl", anything, lambda m: m(ROWS)),
    "catboost": Case("catboost", "saved_model.cbm", catboost_model, lambda m: m.predict(ROWS)),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENTOFN_ROOT", raising=False)
    monkeypatch.setenv("BENTOFN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))


@pytest.mark.parametrize("name", CASES)
def test_there_and_back(name: str) -> None:
    case = CASES[name]
    made = case.make()
    module = getattr(bentofn, case.framework)
    saved = module.save_model("toy", made, metadata={"a": 1})
    assert (saved.path / case.file).is_file()
    assert saved.info.module == f"bentoml.{case.framework}"
    assert all(saved.info.context.framework_versions.values())
    model = module.get("toy:latest")
    loaded = module.load_model(model)
    assert type(loaded) is type(made)
    np.testing.assert_array_equal(case.predict(loaded), case.predict(made))
    assert model.load_model() is model.load_model()
    other = bentofn.lightgbm if case.framework == "sklearn" else bentofn.sklearn
    with pytest.raises(NotFound, match=f"was saved with module bentoml.{case.framework}"):
        other.load_model("toy")
    if name != "picklable":
        with pytest.raises(TypeError, match="Given model"):
            module.save_model("toy", object())


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("sklearn", "picklable")])
def test_the_service_of_a_model(name: str) -> None:
    case = CASES[name]
    made = case.make()
    module = getattr(bentofn, case.framework)
    module.save_model("toy", made)
    service = module.get_service("toy", traffic={"timeout": 7})
    assert (service.config["traffic"]["timeout"], len(service.models)) == (7, 1)
    (parameter,) = {"input_data"} if case.framework == "catboost" else {"data"}
    with bentofn.SyncHTTPClient("http://service", app=service.to_asgi()) as client:
        answer = client.predict(**{parameter: ROWS})
    np.testing.assert_allclose(answer, case.predict(made), rtol=1e-6)


def test_mlflow(tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    made = sklearn_model()
    mlflow.sklearn.save_model(made, str(tmp_path / "source"), pip_requirements=["scikit-learn"])
    model = bentofn.mlflow.import_model("toy", str(tmp_path / "source"))
    assert model.info.module == "bentoml.mlflow"
    loaded = bentofn.mlflow.load_model("toy")
    np.testing.assert_array_equal(loaded.predict(ROWS), made.predict(ROWS))
    service = bentofn.mlflow.get_service("toy")
    with bentofn.SyncHTTPClient("http://service", app=service.to_asgi()) as client:
        np.testing.assert_array_equal(client.predict(ROWS), made.predict(ROWS))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a").write_text("a")
    with pytest.raises(BentoMLException, match="is not a MLflow model"):
        bentofn.mlflow.import_model("bad", str(tmp_path / "other"))
    with pytest.raises(BentoMLException, match="only the `predict` method"):
        bentofn.mlflow.import_model("bad", str(tmp_path / "source"), signatures={"x": {}})


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(importlib.import_module("sys").modules, "xgboost", None)
    with pytest.raises(MissingDependencyException, match="needs xgboost: install xgboost"):
        bentofn.xgboost.save_model("toy", object())


def test_a_model_of_a_module_that_is_not_here() -> None:
    for module, said in (
        ("bentoml.pytorch", "saved with bentoml.pytorch, which bentofn does not carry"),
        ("no.such.module", "is not found"),
        ("", "does not say which module loads it"),
    ):
        with bentofn.models.create("toy", module=module) as model:
            (model.path / "a").write_text("a")
        with pytest.raises(BentoMLException, match=said):
            model.load_model()
