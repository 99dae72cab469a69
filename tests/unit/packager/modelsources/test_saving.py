"""Models that the user's own code makes, and those of BentoML's own store."""

from __future__ import annotations

import pickle
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

import bentofn
from bentofn.exceptions import BentoMLException, MissingDependencyException, NotFound
from bentofn.packager.bento_models import collect_models
from bentofn.packager.config.model import ModelChoice
from bentofn.packager.home import Home
from bentofn.packager.store import Store
from bentofn.runtime.errors import UserError
from bentofn.runtime.modelinfo import ModelContext, ModelOptions


@pytest.fixture(autouse=True)
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of bentofn's, and a BentoML's beside it."""
    monkeypatch.delenv("BENTOFN_ROOT", raising=False)
    monkeypatch.setenv("BENTOFN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    return tmp_path


def make(name: str = "iris") -> bentofn.models.Model:
    with bentofn.models.create(
        name,
        labels={"team": "a", "size": 3},
        metadata={"top_k": 2},
        custom_objects={"scale": 2.5},
        options=ModelOptions(model_class="Booster"),
        signatures={"predict": {"batchable": True, "batch_dim": 0}},
        context=ModelContext("own", {"own": "1"}),
    ) as model:
        Path(model.path_of("model.pkl")).write_bytes(pickle.dumps(np.arange(3)))
        np.save(model.path_of("objects.npy"), np.array([{}], dtype=object))
    return model


def test_what_is_written_is_in_the_store_as_it_was() -> None:
    made = make()
    assert made.tag.version
    found = bentofn.models.get("iris:latest")
    assert found == made == bentofn.models.get(made.tag)
    assert pickle.loads((found.path / "model.pkl").read_bytes()).tolist() == [0, 1, 2]
    assert sorted(each.name for each in Path(found.path).iterdir()) == [
        "custom_objects.pkl",
        "model.pkl",
        "model.yaml",
        "objects.npy",
    ]
    assert Path(made.path, "model.pkl").is_file()  # also where the block's own model looks


def test_what_a_model_says_of_itself() -> None:
    model = bentofn.models.get(make().tag)
    info = model.info
    assert (info.name, info.version) == ("iris", model.version)
    assert info.labels == {"team": "a", "size": "3"}
    assert info.metadata["top_k"] == 2
    assert info.options.model_class == "Booster"
    assert info.signatures["predict"].batch_dim == (0, 0)
    assert info.context.framework_versions == {"own": "1"}
    assert info.creation_time == model.creation_time
    assert model.custom_objects == {"scale": 2.5}
    with pytest.raises(BentoMLException, match="bentofn has no runners"):
        model.to_runner()
    described = yaml.safe_load((model.path / "model.yaml").read_text())
    assert described == {**info.to_dict(), "creation_time": described["creation_time"]}


def test_objects_that_need_a_module_which_is_gone(tmp_path: Path) -> None:
    own = ModuleType("own_module")
    exec("class Scaler: pass", vars(own))
    sys.modules["own_module"] = own
    try:
        with bentofn.models.create("iris", custom_objects={"scaler": own.Scaler()}) as model:
            pass
        with bentofn.models.create(
            "iris", custom_objects={"scaler": own.Scaler()}, external_modules=[own]
        ) as with_code:
            pass
    finally:
        del sys.modules["own_module"]
    with pytest.raises(MissingDependencyException, match="needs own_module: install it"):
        _ = model.custom_objects
    assert type(with_code.custom_objects["scaler"]).__name__ == "Scaler"


def test_each_save_is_a_version_of_its_own() -> None:
    first, second = make(), make()
    assert first.tag != second.tag
    assert bentofn.models.get("iris").tag == second.tag
    assert {each.tag for each in bentofn.models.list("iris")} == {first.tag, second.tag}
    assert make("iris:v1").version == "v1"
    assert [str(each.tag) for each in bentofn.models.list("iris:v1")] == ["iris:v1"]
    bentofn.models.delete("iris:v1")
    with pytest.raises(NotFound, match="iris:v1"):
        bentofn.models.get("iris:v1")
    with pytest.raises(NotFound, match="iris:v1"):
        bentofn.models.delete("iris:v1")


def test_nothing_is_stored_of_a_block_that_fails() -> None:
    with pytest.raises(ZeroDivisionError), bentofn.models.create("iris"):
        raise ZeroDivisionError
    assert bentofn.models.list() == []
    with (
        pytest.raises(UserError, match="plain data"),
        bentofn.models.create("iris", metadata={"what": object()}),
    ):
        pass
    with pytest.raises(UserError, match="not a valid name"), bentofn.models.create("no good"):
        pass


def test_a_build_carries_pickles_that_were_made_here_and_says_so() -> None:
    model = make()
    store, told = Store(Home.default()), list[str]()
    found = collect_models(store, [ModelChoice("iris")], (), (), None, told.append)
    assert any("was made here and holds pickles" in line and "model.pkl" in line for line in told)
    (reference,) = found.references
    assert reference.info["labels"] == {"team": "a", "size": "3"}
    assert reference.info["options"] == {"model_class": "Booster"}
    assert reference.version == model.version


@pytest.mark.parametrize("form", [None, "gz", "tar", "folder"])
def test_there_and_back(homes: Path, form: str | None) -> None:
    with bentofn.models.create("words:1", metadata={"a": 1}, module="own") as model:
        (model.path / "words.txt").write_text("one")
    target = homes / "out"
    target.mkdir()
    path = bentofn.models.export_model("words", str(target / "words"), form)
    if form in (None, "gz", "tar"):
        with tarfile.open(path) as archive:
            assert {"./model.yaml", "./words.txt"} <= set(archive.getnames())
    bentofn.models.delete("words")
    again = bentofn.models.import_model(path)
    assert str(again.tag) == "words:1"
    assert (again.info.module, again.info.metadata) == ("own", {"a": 1})
    assert (again.path / "words.txt").read_text() == "one"


def test_where_an_export_goes(homes: Path) -> None:
    with bentofn.models.create("words:1") as model:
        (model.path / "words.txt").write_text("one")
    out = homes / "out"
    out.mkdir()
    assert bentofn.models.export_model("words", str(out)) == str(out / "words-1.bentomodel")
    assert bentofn.models.export_model("words", str(out / "w")) == str(out / "w.bentomodel")
    assert bentofn.models.export_model("words", str(out / "w.tar")) == str(out / "w.tar")
    with pytest.raises(UserError, match="no format 'rar'"):
        bentofn.models.export_model("words", str(out), "rar")
    with pytest.raises(UserError, match="bentofn push"):
        bentofn.models.export_model("words", "s3://bucket/words")
    with pytest.raises(NotFound):
        bentofn.models.export_model("nothing", str(out))


def theirs(
    home: Path, version: str, day: int = 1, file: str = "words.txt", content: bytes = b"one"
) -> None:
    """A model in BentoML's own store."""
    folder = home / "bentoml" / "models" / "words" / version
    folder.mkdir(parents=True)
    (folder / file).write_bytes(content)
    described = {"name": "words", "version": version, "module": "", "api_version": "v1"}
    described["creation_time"] = f"2026-01-{day:02}T00:00:00+00:00"
    (folder / "model.yaml").write_text(yaml.safe_dump({**described, "metadata": {"v": version}}))
    (folder.parent / "latest").write_text(version)


def test_a_model_that_only_bentoml_has_is_imported(homes: Path) -> None:
    theirs(homes, "one")
    model = bentofn.models.get("Words:latest")
    assert (str(model.tag), model.info.metadata) == ("words:one", {"v": "one"})
    theirs(homes, "two", day=2)
    assert str(bentofn.models.get("words").tag) == "words:two"
    theirs(homes, "older", day=1)
    assert str(bentofn.models.get("words").tag) == "words:two"
    assert str(bentofn.models.get("words:one").tag) == "words:one"
    with pytest.raises(NotFound, match="bentofn models import"):
        bentofn.models.get("words:three")
    with pytest.raises(NotFound):
        bentofn.models.get("../words")


def test_a_model_of_ones_own_is_not_replaced_by_one_of_bentoml(homes: Path) -> None:
    with bentofn.models.create("words:mine") as model:
        (model.path / "words.txt").write_text("mine")
    theirs(homes, "one")
    assert str(bentofn.models.get("words").tag) == "words:mine"
    assert str(bentofn.models.get("words:one").tag) == "words:one"


def test_a_pickle_of_bentoml_is_refused_with_the_command_that_takes_it(homes: Path) -> None:
    theirs(homes, "one", 1, "m.pkl", pickle.dumps({"a": 1}))
    with pytest.raises(NotFound, match=r"`bentofn models import --allow-pickle .*words/one`"):
        bentofn.models.get("words")


def test_an_artifact_has_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bentofn.packager.modelsources", None)
    with pytest.raises(BentoMLException, match="works in a project, not in a bento"):
        bentofn.models.create("iris")
    with pytest.raises(AttributeError, match="use `bentofn push`"):
        bentofn.models.push  # noqa: B018
