"""The wheel works in an empty environment, outside the checkout."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: setuptools would mix an old build/ folder of the checkout into the wheel.
    source = tmp_path_factory.mktemp("source") / "bentofn"
    left_out = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "tests")
    shutil.copytree(REPOSITORY, source, symlinks=True, ignore=left_out)
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(target)]
    subprocess.run([*command, str(source)], check=True)
    return next(target.glob("bentofn-*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    environment = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    python = environment / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(wheel)], check=True)
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
