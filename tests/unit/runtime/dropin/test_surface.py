"""The drop-in: each name of BentoML's is there, or its absence says what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import bentofn
from bentofn.runtime import inside, surface

NAMES = sorted(surface.HOMES)
SUBMODULES = sorted(surface.MODULES)

# What BentoML 1.4.39 offers as bentoml.NAME, from its __init__.py and its folder.
STOCK = [
    "ApiToken",
    "ApiTokenAPI",
    "AsyncHTTPClient",
    "Bento",
    "BentoCloudClient",
    "Context",
    "Cookie",
    "Dependency",
    "Field",
    "IODescriptor",
    "Model",
    "Service",
    "SyncHTTPClient",
    "Tag",
    "api",
    "api_token",
    "asgi_app",
    "batch",
    "bentos",
    "build",
    "catboost",
    "client",
    "cloud",
    "container",
    "delete",
    "depends",
    "deployment",
    "detectron",
    "diffusers",
    "diffusers_simple",
    "easyocr",
    "exceptions",
    "export_bento",
    "fastai",
    "flax",
    "get",
    "get_current_service",
    "gradio",
    "grpc",
    "images",
    "import_bento",
    "importing",
    "io",
    "keras",
    "legacy",
    "lightgbm",
    "list",
    "load",
    "load_config",
    "metrics",
    "mlflow",
    "models",
    "monitor",
    "monitoring",
    "mount_asgi_app",
    "on_deployment",
    "on_shutdown",
    "on_startup",
    "onnx",
    "picklable_model",
    "pull",
    "push",
    "pytorch",
    "pytorch_lightning",
    "ray",
    "runner_service",
    "save_config",
    "serve",
    "server",
    "server_context",
    "service",
    "serving",
    "set_serialization_strategy",
    "sklearn",
    "start",
    "task",
    "tensorflow",
    "testing",
    "torchscript",
    "transformers",
    "triton",
    "types",
    "unsloth",
    "use_arguments",
    "validators",
    "xgboost",
]


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run code with the drop-in on the import path, as a bento's processes have it."""
    where = f"import sys; sys.path.insert(0, {surface.dropin()!r})\n"
    return subprocess.run(
        [sys.executable, "-c", where + code], capture_output=True, text=True, timeout=60
    )


def test_every_name_is_the_one_of_bentofn() -> None:
    code = (
        "import bentofn, bentoml\n"
        f"for name in {NAMES}:\n"
        "    assert getattr(bentoml, name) is getattr(bentofn, name), name\n"
        f"for module in {SUBMODULES}:\n"
        "    ours, theirs = getattr(bentofn, module), getattr(bentoml, module)\n"
        "    for name in ours.__all__:\n"
        "        assert getattr(ours, name) is getattr(theirs, name), name\n"
        "print(bentoml.__version__, bentoml.__bentofn_version__)\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [surface.BENTOML_VERSION, bentofn.__version__]


def test_every_absent_name_says_what_to_do_instead() -> None:
    code = (
        "import bentoml, importlib\n"
        f"for name, instead in {dict(surface.ABSENT)}.items():\n"
        "    for statement in (f'bentoml.{name}', f'from bentoml import {name}',\n"
        "                      f'import bentoml.{name}'):\n"
        "        try:\n"
        "            exec(statement)\n"
        "        except (AttributeError, ImportError) as error:\n"
        "            assert instead in str(error), error\n"
        "        else:\n"
        "            raise SystemExit(statement)\n"
        "    assert not hasattr(bentoml, name)\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_every_name_of_bentomls_is_known() -> None:
    assert set(STOCK) <= {*surface.HOMES, *surface.MODULES, *surface.FRAMEWORKS, *surface.ABSENT}


def test_no_name_is_there_and_absent() -> None:
    assert not surface.ABSENT.keys() & {*surface.HOMES, *surface.MODULES, *surface.FRAMEWORKS}


def test_a_name_that_bentoml_does_not_have() -> None:
    with pytest.raises(AttributeError, match=r"^bentofn carries no bentofn\.nonsense\.$"):
        bentofn.nonsense  # noqa: B018
    for statement in ("from bentoml import nonsense", "import bentoml.nonsense.deep"):
        assert "ImportError: bentofn carries no bentoml.nonsense" in run(statement).stderr


def test_bentomls_inside_is_there_as_far_as_services_import_it() -> None:
    code = (
        "import importlib, bentoml\n"
        "from bentofn.runtime import inside, surface\n"
        "for module in inside.NAMES:\n"
        "    imported = importlib.import_module(module)\n"
        "    for name in inside.names_of(module):\n"
        "        if name not in surface.ABSENT and not hasattr(imported, name):\n"
        "            print(module, name)\n"
        "import _bentoml_sdk.service.factory\n"
        "from _bentoml_sdk import service, Service\n"
        "assert service is bentoml.service and Service is bentoml.Service\n"
        "from _bentoml_sdk.service.config import ServiceConfig, TrafficSchema\n"
        "from bentoml._internal.utils.uri import uri_to_path\n"
        "assert uri_to_path('file:///a%20b/../c') == '/c'\n"
    )
    done = run(code)
    assert done.returncode == 0, done.stderr
    missing = [line.split()[0] for line in done.stdout.splitlines()]
    # Its public module is not there yet.
    assert set(missing) <= {"_bentoml_sdk.validators"}


@pytest.mark.parametrize(
    "name",
    ["bentoml._internal.configuration", "_bentoml_impl.server", "_bentoml_sdk.nothing"],
)
def test_what_of_bentomls_inside_is_absent(name: str) -> None:
    assert f"ImportError: bentofn carries no {name}" in run(f"import {name}").stderr


def test_what_is_carried_is_told() -> None:
    carried = inside.carried()
    assert {"bentoml", "bentoml.service", "bentoml.exceptions.NotFound"} <= carried
    assert {"_bentoml_sdk.Service", "bentoml._internal.utils.uri.uri_to_path"} <= carried
    assert not carried & {f"bentoml.{name}" for name in surface.ABSENT}
    assert "bentoml._internal.configuration" not in carried


def test_an_old_descriptor_can_be_imported_and_not_used() -> None:
    code = "from bentoml.io import JSON, NumpyNdarray, Image\nNumpyNdarray.from_sample(1)"
    assert "annotate the parameter or the result of a @bentoml.api method" in run(code).stderr


def test_a_submodule_for_each_that_the_table_names() -> None:
    folder = Path(surface.dropin()) / "bentoml"
    assert {path.stem for path in folder.glob("*.py")} == {
        "__init__",
        *surface.MODULES,
        *surface.FRAMEWORKS,
    }
    assert {path.stem for path in Path(bentofn.__file__).parent.glob("*.py")} >= {*surface.MODULES}


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("import bentoml._internal.configuration.containers", "set BENTOML_CONFIG"),
        ("from bentoml._internal.context import trace_context", "import Context or server_context"),
        ("from _bentoml_sdk.typing_utils import is_list_type", "get_origin and get_args"),
        ("from _bentoml_sdk.service.config import HTTPCorsSchema", "is made of dicts"),
        ("from _bentoml_impl.client import HTTPClient", "import SyncHTTPClient"),
        ("from bentoml.bentos import containerize", "use `bentofn containerize`"),
        ("import bentoml; bentoml.bentos.push('a')", "use `bentofn push`"),
        ("import bentoml; bentoml.Service('a').bento", "`bentofn inspect`"),
        ("import bentoml; bentoml.Service('a').api", "with @bentoml.api in a class"),
        ("import bentoml; bentoml.Service('a', runners=[])", "decorate a class with"),
    ],
)
def test_what_is_below_the_surface_says_what_to_do_instead(code: str, says: str) -> None:
    last = run(code).stderr.splitlines()[-1]
    assert says in last
