"""The names that services import: bentofn's own, which are BentoML's, and where each stands.

``bentofn`` and the drop-in (the ``bentoml`` below :func:`dropin`) both look them up here.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

BENTOML_VERSION = "1.4.39"
"""The BentoML whose surface this is."""

STOCK = "BENTOFN_STOCK"
"""Variable that, set to 1, leaves ``import bentoml`` to BentoML's own package."""

HOMES: Mapping[str, str] = {
    "AsyncHTTPClient": "client",
    "Bento": "management",
    "Context": "context",
    "Cookie": "context",
    "Dependency": "dependency",
    "Field": "pydantic:Field",
    "IODescriptor": "io.descriptor",
    "Model": "model",
    "Service": "service",
    "SyncHTTPClient": "client",
    "Tag": "tags",
    "after_restore": "hooks",
    "api": "api",
    "asgi_app": "mounts",
    "before_snapshot": "hooks",
    "build": "management",
    "delete": "management",
    "depends": "dependency",
    "export_bento": "management",
    "get": "management",
    "get_current_service": "current",
    "import_bento": "management",
    "importing": "current",
    "kept_file": "kept.file",
    "list": "management",
    "load": "management",
    "monitor": "monitoring",
    "mount_asgi_app": "mounts",
    "on_deployment": "hooks",
    "on_shutdown": "hooks",
    "on_startup": "hooks",
    "register_after_restore": "hooks",
    "register_before_snapshot": "hooks",
    "serve": "management",
    "server_context": "current",
    "service": "declare",
    "task": "api",
    "use_arguments": "arguments",
}
"""Name to its module in ``bentofn.runtime``, or ``module:name`` of another package."""

MODULES = (
    *("bentos", "exceptions", "gradio", "images", "io", "models", "monitoring", "validators"),
    "weights",
)
"""Submodules, each a file of ``bentofn`` and one of the drop-in."""

FRAMEWORKS = ("catboost", "lightgbm", "mlflow", "picklable_model", "sklearn", "xgboost")
"""Modules of ``bentofn.runtime.frameworks``, each a file of the drop-in."""

_ANNOTATE = "declare the endpoints with @bentoml.api and annotate their parameters"
_CLOUD = "deploy with `bentofn deploy`"
_STORE = "put the model's files into the store with bentoml.models.create"

ABSENT: Mapping[str, str] = {
    "ApiToken": _CLOUD,
    "ApiTokenAPI": _CLOUD,
    "BentoCloudClient": _CLOUD,
    "Runner": "make it a service of its own and name it with bentoml.depends",
    "api_token": _CLOUD,
    "batch": "call the service from the job with bentoml.SyncHTTPClient",
    "client": "import SyncHTTPClient or AsyncHTTPClient from bentoml",
    "cloud": _CLOUD,
    "container": "use `bentofn containerize`",
    "deployment": _CLOUD,
    "detectron": _STORE,
    "diffusers": _STORE,
    "diffusers_simple": _STORE,
    "easyocr": _STORE,
    "fastai": _STORE,
    "flax": _STORE,
    "grpc": "bentofn serves HTTP",
    "keras": _STORE,
    "legacy": _ANNOTATE,
    "load_config": "set BENTOML_CONFIG, or the configuration of @bentoml.service",
    "metrics": "import prometheus_client",
    "onnx": _STORE,
    "pull": "use `bentofn pull`",
    "push": "use `bentofn push`",
    "pytorch": _STORE,
    "pytorch_lightning": _STORE,
    "ray": _CLOUD,
    "runner_service": "make the runner's class a service with @bentoml.service",
    "save_config": "set BENTOML_CONFIG, or the configuration of @bentoml.service",
    "server": "use `bentofn serve`",
    "serving": "use `bentofn serve`",
    "set_serialization_strategy": "bentofn serializes no runners",
    "start": "use `bentofn serve`",
    "tensorflow": _STORE,
    "testing": "start the service with bentoml.serve",
    "torchscript": _STORE,
    "transformers": "use bentoml.models.HuggingFaceModel",
    "triton": "start it with @bentoml.service(cmd=...)",
    "types": "models have no signatures here",
    "unsloth": _STORE,
}
"""Name of BentoML's that there is not, to what to do in its place."""


def dropin() -> str:
    """The folder that stands in for BentoML's package on the import path.

    It is found where this module stands now: the copy of a process may have moved.
    """
    return os.path.join(os.path.dirname(os.path.abspath(__file__)), "dropin")  # noqa: PTH100, PTH118, PTH120


def find(package: str, name: str) -> Any:
    """What a name of ``bentofn`` or ``bentoml`` stands for.

    Args:
        package: The package that is asked, for messages and for its submodules.
        name: The name.

    Raises:
        AttributeError: There is no such name; the message names the alternative.
    """
    if name in MODULES:
        return importlib.import_module(f"{package}.{name}")
    if name in FRAMEWORKS:
        return importlib.import_module(f"bentofn.runtime.frameworks.{name}")
    if name in HOMES:
        module, _, attribute = HOMES[name].partition(":")
        home = module if attribute else f"bentofn.runtime.{module}"
        return getattr(importlib.import_module(home), name)
    if name.startswith("__"):
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    raise AttributeError(absent(f"{package}.{name}"))


def absent(dotted: str) -> str:
    """One sentence for a name of BentoML's that there is not.

    Args:
        dotted: The name, with its package.
    """
    from bentofn.runtime.alternatives import alternative  # few starts need it

    package, _, rest = dotted.partition(".")
    name = rest.partition(".")[0] if package in ("bentofn", "bentoml") else ""
    instead = ABSENT.get(name) or alternative(dotted)
    return f"bentofn carries no {dotted}{f': {instead}' if instead else ''}."
