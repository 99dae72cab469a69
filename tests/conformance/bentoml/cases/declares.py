"""What may be declared: each is tried when it is asked for."""

from __future__ import annotations

import os
import typing as t
import warnings
from collections.abc import Callable
from pathlib import Path

import bentoml

LOGGING = """
version: 1
disable_existing_loggers: false
formatters:
  bentoml_json: {class: pythonjsonlogger.jsonlogger.JsonFormatter, format: ""}
handlers:
  bentoml_monitor_data: {class: logging.StreamHandler, formatter: bentoml_json}
  bentoml_monitor_schema: {class: logging.StreamHandler, formatter: bentoml_json}
loggers:
  bentoml_monitor_data: {handlers: [bentoml_monitor_data], level: INFO}
  bentoml_monitor_schema: {handlers: [bentoml_monitor_schema], level: INFO}
"""


def _service(method: t.Any = None, **config: t.Any) -> t.Any:
    """A service of one method."""

    def nothing(self: t.Any) -> None: ...

    method = method or nothing
    members = {method.__name__: bentoml.api(method)}
    return bentoml.service(**config)(type("Tried", (), members))


def optional_file() -> t.Any:
    def method(self: t.Any, file: t.Optional[Path] = None) -> int:  # noqa: UP045
        return 0

    return _service(method).to_asgi()


def files_as_a_result() -> t.Any:
    def method(self: t.Any) -> list[Path]:
        return []

    return _service(method).to_asgi()


def call() -> t.Any:
    def __call__(self: t.Any) -> int:  # noqa: N807
        return 0

    return _service(__call__)


def unknown_key() -> t.Any:
    return _service(trafic={})


def unknown_resource() -> t.Any:
    return _service(resources={"gpus": 1})


def without_effect() -> t.Any:
    return _service(extra_ports=[3001], runner_connection={"max_requests": 1})


def deployment() -> t.Any:
    return bentoml.depends(deployment="other")


def runner() -> t.Any:
    return bentoml.Runner


def log_config_file() -> t.Any:
    path = Path(os.environ["CASE_FOLDER"]) / "logging.yaml"
    path.write_text(LOGGING)
    with bentoml.monitor("given", monitor_options={"log_config_file": str(path)}) as mon:
        mon.log(1, "a", "feature", "numerical")


def monitor_after_an_error() -> t.Any:
    options = {"log_path": os.environ["CASE_FOLDER"]}
    for name in ("raises", "follows"):
        try:
            with bentoml.monitor(name, monitor_options=options) as mon:
                mon.log(1, "a", "feature", "numerical")
                if name == "raises":
                    raise ValueError("on purpose")
        except ValueError:
            pass
    found = [path for path in Path(options["log_path"]).rglob("data*") if path.is_file()]
    return sorted(path.relative_to(options["log_path"]).parts[0] for path in found)


@bentoml.service
class Leaf:
    def __init__(self) -> None:
        self.calls = 0

    def helper(self) -> str:
        return "helped"

    @bentoml.api
    def count(self) -> int:
        self.calls += 1
        return self.calls


@bentoml.service
class Branch:
    leaf = bentoml.depends(Leaf)

    @bentoml.api
    def count(self) -> int:
        return self.leaf.count()


@bentoml.service
class Tree:
    leaf = bentoml.depends(Leaf)
    branch = bentoml.depends(Branch)


def no_endpoint_of_a_dependency() -> t.Any:
    return [Tree().leaf.helper()]


def instances_of_a_shared_dependency() -> t.Any:
    tree = Tree()
    return [tree.leaf.count(), tree.branch.count()]


TRIED: dict[str, Callable[[], t.Any]] = {
    each.__name__.strip("_"): each
    for each in (
        *(optional_file, files_as_a_result, call, unknown_key, unknown_resource),
        *(without_effect, deployment, runner, log_config_file, monitor_after_an_error),
        *(no_endpoint_of_a_dependency, instances_of_a_shared_dependency),
    )
}


@bentoml.service
class Case:
    @bentoml.api
    def tries(self, what: str) -> dict[str, t.Any]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                found = TRIED[what]()
                outcome = found if isinstance(found, list) else "taken"
            except Exception as error:
                outcome = f"refused: {type(error).__name__}"
        warned = sum("in @bentofn.service" in str(warning.message) for warning in caught)
        return {"outcome": outcome, "warned": warned}
