"""The wheel works in an empty environment, outside the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bentofn.packager.environment.pip_config import read_pip_config
from bentofn.packager.environment.uv import run_uv, uv_binary
from bentofn.packager.home import Home

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    environment = tmp_path_factory.mktemp("environment")
    python = environment / "bin" / "python"
    settings = read_pip_config(os.environ)
    subprocess.run([uv_binary(), "venv", "-q", "-p", sys.executable, environment], check=True)
    run_uv(
        ["install", "--quiet", "--python", str(python), str(wheel)],
        settings,
        folder=environment,
        what="The wheel cannot be installed",
        home=Home(environment),
    )
    return python


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_claims_no_top_level_name_but_its_own(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"bentofn"}


@pytest.mark.parametrize("room", ["runtime", "packager", "adapters", "templates"])
def test_the_wheel_carries_every_room(wheel: Path, room: str) -> None:
    assert f"bentofn/{room}/__init__.py" in zipfile.ZipFile(wheel).namelist()


def test_the_wheel_carries_the_drop_in(wheel: Path) -> None:
    carried = {name for name in zipfile.ZipFile(wheel).namelist() if "/dropin/" in name}
    here = (REPOSITORY / "runtime" / "dropin").rglob("*.py")
    assert carried == {f"bentofn/{path.relative_to(REPOSITORY)}" for path in here}


def test_help_works_in_an_empty_environment(python: Path, tmp_path: Path) -> None:
    assert "deploy" in run(python.parent / "bentofn", "--help", cwd=tmp_path)


def test_the_sdk_imports_in_an_empty_environment(python: Path, tmp_path: Path) -> None:
    code = "import bentofn; print(bentofn.service, bentofn.api, bentofn.__file__)"
    assert str(REPOSITORY) not in run(python, "-c", code, cwd=tmp_path)


@pytest.mark.parametrize("template", ["hello", "embeddings", "embeddings-onnx"])
def test_the_templates_are_in_the_wheel(python: Path, tmp_path: Path, template: str) -> None:
    run(python.parent / "bentofn", "init", "project", "--template", template, cwd=tmp_path)
    project = tmp_path / "project"
    names = {path.name for path in project.iterdir()}
    assert {"service.py", "bentofile.yaml", "serverless.yml"} <= names
    assert not list(project.rglob("*.pyc"))
