from __future__ import annotations

import pytest

from bentofn.packager.onnx.code import code_digest, declares_onnx, reached

SOURCES = {
    "service.py": b"from bentofn.models import *\nimport shared\nBentoModel('m', runtime='onnx')",
    "model.py": b"def build(path):\n    import torch\n    from nets import bert\n    import shared",
    "nets/__init__.py": b"",
    "nets/bert.py": b"from .parts.attention import Attention\nfrom . import mlp",
    "nets/mlp.py": b"",
    "nets/parts/attention.py": b"from .. import mlp\nimport numpy",
    "shared.py": b"",
    "other.py": b"import service",
}


def test_imports_are_followed_into_functions_and_packages() -> None:
    assert reached("model", SOURCES) == [
        "model.py",
        "nets/__init__.py",
        "nets/bert.py",
        "nets/mlp.py",
        "nets/parts/attention.py",
        "shared.py",
    ]
    assert reached("nets/mlp.py", SOURCES) == ["nets/__init__.py", "nets/mlp.py"]


@pytest.mark.parametrize("text", [b"importlib.import_module(name)", b"exec(code)", b"syntax error"])
def test_code_that_may_import_anything_reaches_everything(text: bytes) -> None:
    assert reached("model", {**SOURCES, "model.py": text}) == sorted(SOURCES)


@pytest.mark.parametrize(
    ("path", "same"),
    [("nets/mlp.py", False), ("model.py", False), ("service.py", True), ("other.py", True)],
)
def test_an_export_depends_on_the_code_that_its_module_reaches(path: str, same: bool) -> None:
    before = code_digest("model", SOURCES, {})
    changed = {**SOURCES, path: SOURCES[path] + b"\n# changed"}
    assert (code_digest("model", changed, {}) == before) is same


@pytest.mark.parametrize(("path", "same"), [("vocab.txt", False), ("README.md", True)])
def test_an_export_depends_on_data_and_not_on_texts(path: str, same: bool) -> None:
    digests = [code_digest("model", SOURCES, {path: digest}) for digest in ("1", "2")]
    assert (digests[0] == digests[1]) is same


def test_which_services_declare_an_export() -> None:
    assert declares_onnx("service.py", SOURCES)
    assert declares_onnx("other", SOURCES)
    assert not declares_onnx("model", SOURCES)
    mention = b"from bentofn.models import BentoModel\n# runtime='onnx'\nBentoModel('m')"
    assert not declares_onnx("service", {"service.py": mention})
