"""What a service says of its image, read where its packages are not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.packager.code.declared import Declared
from bentofn.packager.code.declaring import import_declaration
from bentofn.runtime.arguments import with_arguments

SERVICE = """
import bentoml
import nowhere_to_be_found as nn
from nowhere_to_be_found.deep import Layer, VERSION
from pydantic import BaseModel, Field

image = (
    bentoml.images.PythonImage(python_version="3.12")
    .system_packages("libgomp1")
    .requirements_file("./requirements.txt")
    .python_packages("numpy<3", "--extra-index-url https://example.org/simple")
    .run("echo ready")
)

class Net(Layer):
    size = nn.SIZE[0] + 1

class Request(BaseModel):
    tensor: nn.Tensor | None = Field(None)

@bentoml.service(image=image, resources={"gpu": 1})
class Svc:
    model = bentoml.models.HuggingFaceModel("org/name")

    @bentoml.api
    @nn.no_grad()
    def f(self, request: Request) -> str:
        return nn.f(request)
"""


def read(project: Path, service: str = "service.py", **envs: str) -> Declared:
    return import_declaration(project, "", service, envs, project)


def test_an_image_is_read_without_the_packages(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    found = read(tmp_path)
    assert found.trouble is None
    assert found.image is not None
    assert found.image.lines == (
        *("-r ./requirements.txt", "numpy<3"),
        "--extra-index-url https://example.org/simple",
    )
    assert found.image.system_packages == ("libgomp1",)
    assert found.image.commands == ("echo ready",)
    assert (found.gpu, found.models) == (True, ("hf:org/name@main",))
    assert found.stand_ins == ("nowhere_to_be_found",)


def test_an_image_that_follows_from_arguments(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(
        "import bentoml, pydantic\n"
        "class Args(pydantic.BaseModel):\n"
        "    base: str = 'debian:12'\n"
        "    @property\n"
        "    def image(self):\n"
        "        image = bentoml.images.Image()\n"
        "        image.base_image = self.base\n"
        "        image.lock_python_packages = False\n"
        "        return image\n"
        "@bentoml.service(image=bentoml.use_arguments(Args).image)\n"
        "class Svc: ...\n"
    )
    assert read(tmp_path).image == read(tmp_path, **with_arguments({}, {"base": "debian:12"})).image
    image = read(tmp_path, **with_arguments({}, {"base": "rocm:6"})).image
    assert image is not None
    assert (image.base_image, image.locked) == ("rocm:6", False)


def test_a_module_that_cannot_live_with_stand_ins_becomes_one(tmp_path: Path) -> None:
    (tmp_path / "protocol.py").write_text(
        "import nowhere, pydantic\n"
        "class P(pydantic.BaseModel):\n"
        "    n: int = pydantic.Field(ge=nowhere.iinfo(nowhere.long).min)\n"
        "raise RuntimeError(P)\n"
    )
    (tmp_path / "service.py").write_text(
        "import bentoml\nfrom protocol import P\n"
        "@bentoml.service(image=bentoml.images.Image().python_packages('x'))\n"
        "class Svc:\n"
        "    @bentoml.api\n"
        "    def f(self, p: P) -> P: return p\n"
    )
    image = read(tmp_path).image
    assert image is not None
    assert image.lines == ("x",)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise RuntimeError('no GPU here')", "no GPU here"),
        ("import os; os._exit(3)", "ended the interpreter"),
    ],
)
def test_what_cannot_be_imported_says_why(tmp_path: Path, code: str, why: str) -> None:
    (tmp_path / "service.py").write_text(code)
    assert why in (read(tmp_path).trouble or "")
