"""What BentoML exports becomes a bento that answers."""

from __future__ import annotations

import json
import pickle
import tarfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

SERVICE = """
import bentoml

@bentoml.service(name="Words")
class Words:
    model = bentoml.models.BentoModel("words:latest")

    @bentoml.api(examples=[{"text": "hi"}])
    def say(self, text: str) -> str:
        with open(self.model.path_of("words.txt")) as file:
            return text + file.read()
"""
MODEL = {"name": "words", "version": "v7", "api_version": "v1", "labels": {}, "metadata": {}}
BENTO = {
    "service": "service:Words",
    "name": "words_svc",
    "version": "abcdefgh",
    "models": [],
    "services": [{"name": "Words", "models": [{"tag": "words:v7"}]}],
    "spec": 2,
}


@pytest.fixture
def bento(tmp_path: Path) -> Path:
    folder = tmp_path / "bento"
    model = folder / "models" / "words" / "v7"
    for each in (folder / "src", model, folder / "env" / "python"):
        each.mkdir(parents=True)
    (folder / "src" / "service.py").write_text(SERVICE)
    (folder / "env" / "python" / "requirements.in").write_text("bentoml==1.4.39\n")
    (folder / "bento.yaml").write_text(yaml.safe_dump(BENTO))
    (model / "model.yaml").write_text(yaml.safe_dump(MODEL))
    (model / "words.txt").write_text("!")
    return folder


def test_an_export_is_built_and_its_folder_is_the_same(
    bento: Path, tmp_path: Path, run: Callable[..., Any]
) -> None:
    with tarfile.open(tmp_path / "words.bento", "w:xz") as archive:
        archive.add(bento, ".")
    done = run("import", str(tmp_path / "words.bento"), "--json")
    built = json.loads(done.stdout)
    assert built["tag"] == "words_svc:abcdefgh"
    manifest = json.loads(run("get", built["tag"], "--json").stdout)["manifest"]
    assert [f"{each['name']}:{each['version']}" for each in manifest["models"]] == ["words:v7"]
    assert not [line for line in manifest["lock"] if line.startswith("bentoml")]
    again = json.loads(run("build", str(bento), "--json").stdout)
    assert (again["reused"], again["digest"]) == (True, built["digest"])
    named = json.loads(run("build", str(bento), "--name", "mine", "--json").stdout)
    assert named["tag"] == "mine:abcdefgh"


def test_a_pickled_model_is_carried_only_if_it_is_named(
    bento: Path, run: Callable[..., Any]
) -> None:
    pickled = pickle.dumps(OrderedDict(a=1))
    (bento / "models" / "words" / "v7" / "saved_model.pkl").write_bytes(pickled)
    done = run("build", str(bento), check=False)
    assert (done.returncode, "carry it as it is with --allow-pickle words" in done.stderr) == (
        1,
        True,
    )
    done = run("build", str(bento), "--allow-pickle", "words")
    assert "loading it imports collections.OrderedDict." in done.stderr


def test_messages_name_the_export_and_not_where_it_was_unpacked(
    tmp_path: Path, bento: Path, run: Callable[..., Any]
) -> None:
    (bento / "models" / "words" / "v7" / "saved_model.pkl").write_bytes(pickle.dumps({}))
    export = tmp_path / "words_svc.bento"
    with tarfile.open(export, "w:xz") as archive:
        archive.add(bento, ".")
    done = run("import", str(export), check=False)
    assert f"{export}/models/words/v7/saved_model.pkl holds a pickle" in done.stderr


def test_what_is_no_export_is_said(tmp_path: Path, bento: Path, run: Callable[..., Any]) -> None:
    (bento / "bento.yaml").write_text("name: x\n")
    done = run("build", str(bento), check=False)
    assert (done.returncode, "names no service" in done.stderr) == (1, True)
    done = run("models", "import", str(bento), check=False)
    assert (done.returncode, "use `bentofn build" in done.stderr) == (1, True)
    with tarfile.open(tmp_path / "words.bentomodel", "w:xz") as archive:
        archive.add(bento / "models" / "words" / "v7", ".")
    done = run("import", str(tmp_path / "words.bentomodel"), check=False)
    assert (done.returncode, "use `bentofn models import" in done.stderr) == (1, True)
    (tmp_path / "x.bento").write_bytes(b"nothing")
    done = run("import", str(tmp_path / "x.bento"), check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
