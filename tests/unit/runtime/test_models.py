from __future__ import annotations

from pathlib import Path

import pytest

import bentofn
from bentofn.exceptions import NotFound
from bentofn.runtime.errors import UserError
from bentofn.runtime.manifest import BentoManifest, ModelReference, ServiceContract


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    manifest = BentoManifest(
        name="b",
        version="1",
        contract=ServiceContract("S", "service:S"),
        python="3.11",
        platform="linux/amd64",
        models=(
            ModelReference("minilm", "v2", "sha256:0", alias="encoder"),
            ModelReference("org--bert", "c0ffee", "sha256:1", alias="hf:org/bert@main"),
            ModelReference("org--bert", "c0ffee", "sha256:1", alias="hf:org/bert@v1"),
        ),
    )
    (tmp_path / "bento.json").write_bytes(manifest.to_json())
    monkeypatch.setenv("BENTOFN_ROOT", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("tag", ["minilm", "minilm:latest", "minilm:v2", "encoder"])
def test_a_model_of_a_bento(root: Path, tag: str) -> None:
    model = bentofn.models.get(tag)
    assert (str(model.tag), model.name, model.version) == ("minilm:v2", "minilm", "v2")
    assert model.path == str(root / "models" / "minilm" / "v2")
    assert model.path_of("a.bin") == str(root / "models" / "minilm" / "v2" / "a.bin")


@pytest.mark.parametrize("tag", ["other", "minilm:v1", "v2"])
def test_a_model_that_the_bento_does_not_carry(root: Path, tag: str) -> None:
    with pytest.raises(NotFound, match=r"it carries: minilm:v2, org--bert:c0ffee"):
        bentofn.models.get(tag)


def test_all_models_of_a_bento(root: Path) -> None:
    assert [str(model.tag) for model in bentofn.models.list()] == ["minilm:v2", "org--bert:c0ffee"]


class Uses:
    model = bentofn.models.BentoModel("minilm:latest")
    weights = bentofn.models.HuggingFaceModel("org/bert")
    tagged = bentofn.models.HuggingFaceModel("org/bert", "v1")
    missing = bentofn.models.HuggingFaceModel("org/other")


def test_descriptors_resolve_on_an_instance(root: Path) -> None:
    assert str(Uses().model.tag) == "minilm:v2"
    assert Uses().weights == str(root / "models" / "org--bert" / "c0ffee") == Uses().tagged
    with pytest.raises(NotFound, match="hf:org/other@main' is not in this bento"):
        _ = Uses().missing


def test_a_model_of_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bentofn.packager.home import Home
    from bentofn.packager.modelstore import import_model
    from bentofn.packager.store import Store

    monkeypatch.delenv("BENTOFN_ROOT", raising=False)
    monkeypatch.setenv("BENTOFN_HOME", str(tmp_path / "home"))
    source = tmp_path / "source"
    source.mkdir()
    (source / "config.json").write_text("{}")
    import_model(Store(Home.default()), source, "small", "v1")
    model = bentofn.models.get("small:latest")
    assert (str(model.tag), (model.path / "config.json").read_text()) == ("small:v1", "{}")
    assert [str(each.tag) for each in bentofn.models.list()] == ["small:v1"]
    with pytest.raises((NotFound, UserError), match="other"):
        bentofn.models.get("other")


def test_a_declaration_of_a_hub_model_is_one_line() -> None:
    model = bentofn.models.HuggingFaceModel(
        "org/bert", "refs/pr/1", "https://hub.example", ["*.json", "a b"], exclude=["x*"]
    )
    assert model.tag == (
        "hf:org/bert@refs/pr/1?endpoint=https%3A%2F%2Fhub.example"
        "&include=%2A.json&include=a+b&exclude=x%2A"
    )
