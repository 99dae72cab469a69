"""Which names of BentoML a service uses, and whether bentofn has them."""

from __future__ import annotations

import pytest

from bentofn.packager.code.sdk_names import (
    loaded_models,
    missing_names,
    reached,
    speaks_of_images,
    used_names,
)


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("import bentoml\nbentoml.models.get('x')", {"bentoml", "bentoml.models.get"}),
        ("import bentoml as b\nb.pytorch.load_model('x').eval()", {"bentoml.pytorch.load_model"}),
        ("from bentoml import transformers as t\nt.x", {"bentoml.transformers.x"}),
        ("from bentoml.io import JSON", {"bentoml.io.JSON"}),
        ("import bentoml.legacy", {"bentoml.legacy"}),
        ("from _bentoml_sdk import Service", {"_bentoml_sdk.Service"}),
        ("def f():\n  import bentoml\n  bentoml.keras", {"bentoml.keras"}),
        ("import other\nother.bentoml.ray", set()),
    ],
)
def test_names_of_a_file(code: str, names: set[str]) -> None:
    assert used_names(reached({"service.py": code.encode()}, "service.py:Svc")) >= names


def test_only_what_the_service_imports_counts() -> None:
    sources = {
        "pkg/__init__.py": b"",
        "pkg/service.py": b"from . import helper\nfrom pkg.other import x",
        "pkg/helper.py": b"from typing import TYPE_CHECKING\nimport bentoml\n"
        b"if TYPE_CHECKING:\n    from bentoml.legacy import A",
        "pkg/other.py": b"from bentoml.io import JSON",
        "train.py": b"import bentoml\nbentoml.pytorch.save_model('x', 1)",
        "broken.py": b"def",
    }
    found = used_names(reached(sources, "pkg.service:Svc"))
    assert found == {"bentoml", "bentoml.io.JSON"}
    assert used_names(reached(sources, "pkg/service.py")) == found


def test_what_is_not_carried() -> None:
    carried = {
        *("bentoml", "bentoml.service", "bentoml.models.get", "bentoml.__version__"),
        *("bentoml.exceptions", "bentoml.exceptions.NotFound", "_bentoml_sdk.Service"),
        *("_bentoml_sdk.service.factory", "bentoml._internal.utils.uri.uri_to_path"),
    }
    missing = {
        *("bentoml.pytorch", "bentoml.exceptions.Unheard", "bentoml._internal.configuration"),
        *("bentoml_cli", "_bentoml_sdk.service.factory.Nothing"),
    }
    assert missing_names(carried | missing) == tuple(sorted(missing))


def test_which_projects_may_have_an_image() -> None:
    assert speaks_of_images({"a.py": b"import bentoml\nbentoml.images.Image()"})
    assert not speaks_of_images({"a.py": b"import bentoml\nfrom PIL import Image"})


def test_the_models_that_are_named_where_they_are_loaded() -> None:
    code = b"""
import bentoml
from bentoml.sklearn import load_model as load
from bentofn import xgboost
NAME = "computed"
class Svc:
    held = bentoml.models.get("held:latest")
    def __init__(self):
        self.a = load("a:v1")
        self.b = xgboost.load_model("b")
        self.c = bentoml.sklearn.load_model(NAME)
        self.d = {}.get("d") or bentoml.models.get("No Tag")
"""
    assert loaded_models(reached({"s.py": code}, "s:Svc")) == ("a:v1", "b", "held:latest")
