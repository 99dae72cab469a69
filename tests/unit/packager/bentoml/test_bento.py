"""Bentos of BentoML become projects, and its models models."""

from __future__ import annotations

import pickle
import tarfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import yaml

from bentofn.packager.bentoml.bento import Adopted, adopt, is_bento
from bentofn.packager.config.discovery import load_config
from bentofn.packager.home import Home
from bentofn.packager.modelsources.importing import import_source
from bentofn.packager.modelstore import describe_model
from bentofn.packager.modelstore.access import model_files
from bentofn.packager.modelstore.policy import Policy
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError

MODEL: dict[str, Any] = {
    "name": "iris",
    "version": "u7n6kphgxs7ysax4",
    "module": "bentoml.sklearn",
    "labels": {"team": "x"},
    "options": {},
    "metadata": {"acc": 0.9},
    "context": {"framework_name": "sklearn", "framework_versions": {"scikit-learn": "1.9.1"}},
    "signatures": {"predict": {"batchable": True}},
    "api_version": "v1",
    "creation_time": "2026-11-22T21:35:36+00:00",
}
BENTO: dict[str, Any] = {
    "service": "service:Iris",
    "name": "iris_clf",
    "version": "grsbooxgx2464ax4",
    "bentoml_version": "1.4.39",
    "labels": {"owner": "me", "level": 1},
    "models": [{"tag": "iris:u7n6kphgxs7ysax4", "module": "bentoml.sklearn"}],
    "services": [
        {
            "name": "iris_clf",
            "models": [
                {"tag": "iris:u7n6kphgxs7ysax4"},
                {"tag": "org--bert:0", "registry": "huggingface"},
            ],
        }
    ],
    "envs": [{"name": "MODE", "value": "fast", "stage": "all"}, {"name": "TOKEN", "value": ""}],
    "args": {"size": 2},
    "spec": 2,
    "image": {
        "base_image": "python:3.11-slim",
        "python_version": "3.11",
        "commands": [
            "apt-get update && apt-get install -q -y ca-certificates bash git",
            "apt-get install -q -y -o Dpkg::Options::=--force-confdef git libgomp1",
            "echo hello",
        ],
    },
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "bentoml" / "models" / "iris" / MODEL["version"]
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(yaml.safe_dump(MODEL))
    (folder / "weights.txt").write_text("w")
    (folder.parent / "latest").write_text(MODEL["version"])
    return folder


@pytest.fixture
def bento(tmp_path: Path) -> Path:
    folder = tmp_path / "bento"
    (folder / "src" / "lib").mkdir(parents=True)
    (folder / "env" / "python").mkdir(parents=True)
    (folder / "src" / "service.py").write_text("import bentoml\n")
    (folder / "src" / "lib" / "x.py").write_text("x = 1\n")
    (folder / "src" / "bentofile.yaml").write_text(
        yaml.safe_dump({"description": "irises", "docker": {"env": {"A": "b"}, "distro": None}})
    )
    (folder / "env" / "python" / "requirements.in").write_text(
        "scikit-learn\nnumpy>=1\nbentoml==1.4.39\n"
    )
    (folder / "env" / "python" / "requirements.txt").write_text(
        "--index-url https://pypi.org/simple\n\nnumpy==2.4.6 # via\nscikit-learn==1.9.1\n"
        "bentoml==1.4.39\nstarlette==1.0.0\n"
    )
    (folder / "bento.yaml").write_text(yaml.safe_dump(BENTO))
    return folder


@pytest.fixture
def adopted(bento: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adopted:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    return adopt(bento, tmp_path / "project")


def test_a_model_keeps_what_bentoml_says_of_it(model: Path, tmp_path: Path) -> None:
    store = Store(Home(tmp_path / "home"))
    with tarfile.open(tmp_path / "iris.bentomodel", "w:xz") as archive:
        archive.add(model, ".")
    found = set()
    for source in (model, model.parent, tmp_path / "iris.bentomodel"):
        entry = import_source(store, str(source))
        found.add((entry.tag, entry.digest))
    assert [tag for tag, _ in found] == ["iris:u7n6kphgxs7ysax4"]
    info = describe_model(store, entry)
    assert (info.labels, info.metadata) == ({"team": "x"}, {"acc": 0.9})
    assert info.origin["context"] == MODEL["context"]
    assert info.origin["signatures"] == MODEL["signatures"]
    assert set(model_files(store, entry)) == {"model.yaml", "weights.txt"}
    named = import_source(store, str(model), "other", "v1", {"team": "y", "more": "z"})
    assert named.tag == "other:v1"
    assert describe_model(store, named).labels == {"team": "y", "more": "z"}


def test_a_pickle_of_bentoml_is_refused_or_allowed(model: Path, tmp_path: Path) -> None:
    store = Store(Home(tmp_path / "home"))
    (model / "saved_model.pkl").write_bytes(pickle.dumps(OrderedDict(a=1)))
    with tarfile.open(tmp_path / "iris.bentomodel", "w:gz") as archive:
        archive.add(model, ".")
    source = str(tmp_path / "iris.bentomodel")
    with pytest.raises(UserError, match=r"^.*iris\.bentomodel/.*--allow-pickle"):
        import_source(store, source)
    entry = import_source(store, source, policy=Policy(allow_pickle=True))
    assert describe_model(store, entry).pickles == {"saved_model.pkl": ["collections.OrderedDict"]}


def test_another_model_yaml_is_a_file_like_others(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    for text in ("backbone: resnet\n", "- a list\n"):
        (folder / "model.yaml").write_text(text)
        assert import_source(Store(Home(tmp_path / "home")), str(folder)).name == "plain"


def test_a_bento_becomes_a_project(adopted: Adopted, bento: Path, model: Path) -> None:
    assert is_bento(bento)
    assert not is_bento(bento / "src")
    assert (adopted.name, adopted.version) == ("iris_clf", "grsbooxgx2464ax4")
    assert adopted.models == (model,)
    assert (adopted.project / "service.py").read_text() == "import bentoml\n"
    assert adopted.notes == ("Its image's command 'echo hello' is not taken over.",)
    config = load_config(adopted.project, Home(adopted.project.parent / "home"))
    assert config.service == "service:Iris"
    assert config.description == "irises"
    assert config.labels == {"owner": "me", "level": "1"}
    assert config.arguments == {"size": 2}
    assert config.python_version == "3.11"
    assert {env.name: env.value for env in config.envs} == {"MODE": "fast", "TOKEN": None}
    assert [choice.tag for choice in config.models] == ["iris:u7n6kphgxs7ysax4"]
    assert config.docker.system_packages == ("git", "libgomp1")
    assert config.docker.env == {"A": "b"}
    assert config.docker.base_image is None
    (requirements,) = config.python.requirements_files
    wanted = (adopted.project / requirements).read_text()
    assert wanted.splitlines()[1:] == ["scikit-learn", "numpy>=1"]
    pins = (adopted.project / wanted.split()[1]).read_text()
    assert pins.splitlines() == ["numpy==2.4.6", "scikit-learn==1.9.1", "bentoml==1.4.39"]
    assert f"/{requirements}" in config.exclude


def test_models_that_the_bento_carries_come_first(adopted: Adopted, bento: Path) -> None:
    carried = bento / "models" / "iris" / MODEL["version"]
    carried.mkdir(parents=True)
    (carried / "model.yaml").write_text(yaml.safe_dump(MODEL))
    assert adopt(bento, adopted.project.parent / "again").models == (carried,)


def test_bentos_that_cannot_be_taken_over(
    bento: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "empty"))
    with pytest.raises(UserError, match="`bentoml export`, which puts its models in"):
        adopt(bento, tmp_path / "a")
    bad = {**BENTO, "models": [{"tag": "../../x:1"}]}
    (bento / "bento.yaml").write_text(yaml.safe_dump(bad))
    with pytest.raises(UserError, match="names a model"):
        adopt(bento, tmp_path / "b")
    (bento / "src" / "out").symlink_to(tmp_path)
    with pytest.raises(UserError, match="outside the folder"):
        adopt(bento, tmp_path / "c")
    (bento / "bento.yaml").write_text("service: 1\n")
    with pytest.raises(UserError, match="names no service"):
        adopt(bento, tmp_path / "d")
