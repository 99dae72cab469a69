"""Services that declare a model of the hub: built, and served as a project."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_hub import Hub, Repository

SERVICE = """
import bentofn
from bentofn.models import HuggingFaceModel

@bentofn.service
class Reader:
    newest = HuggingFaceModel("org/tiny")
    same = HuggingFaceModel("org/tiny", revision="newest")
    pinned = HuggingFaceModel("org/tiny", revision="v1", include=["*.json"])

    @bentofn.api(examples=[{}])
    def read(self) -> list[str]:
        return [open(f"{path}/config.json").read() for path in (self.newest, self.pinned)]
"""


@pytest.fixture
def repository(hub: Hub) -> Repository:
    repository = Repository()
    repository.commit({"config.json": b"1", "vocab.txt": b"a"})
    repository.refs["v1"] = repository.refs["main"]
    newest = {"config.json": b"2", "vocab.txt": b"a"}
    repository.refs["newest"] = repository.commit(newest)
    hub.repositories["org/tiny"] = repository
    return repository


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "service.py").write_text(SERVICE)
    (folder / "bentofile.yaml").write_text('service: "service:Reader"\n')
    return folder


def test_a_build_fetches_what_is_declared_and_asks_once(
    hub: Hub, repository: Repository, project: Path, run: Callable[..., Any]
) -> None:
    built = json.loads(run("build", str(project), "--json").stdout)
    manifest = json.loads(run("get", built["tag"], "--json").stdout)["manifest"]
    main, v1 = repository.refs["main"], repository.refs["v1"]
    versions = {model["alias"]: model["version"] for model in manifest["models"]}
    assert versions["hf:org/tiny@main"] == main == versions["hf:org/tiny@newest"]
    assert versions["hf:org/tiny@v1?include=%2A.json"].startswith(f"{v1}-")
    assert [layer["kind"] for layer in built["layers"]].count("model") == 2

    asked = len(hub.requests)
    repository.commit({"config.json": b"3"})
    again = json.loads(run("build", str(project), "--json").stdout)
    assert (again["reused"], again["digest"]) == (True, built["digest"])
    (project / "service.py").write_text(f"{SERVICE}\n# changed\n")
    changed = json.loads(run("build", str(project), "--json").stdout)
    assert len(hub.requests) == asked
    models = [layer["digest"] for layer in built["layers"] if layer["kind"] == "model"]
    assert [e["digest"] for e in changed["layers"] if e["kind"] == "model"] == models
    upgraded = json.loads(run("build", str(project), "--upgrade", "--json").stdout)
    manifest = json.loads(run("get", upgraded["tag"], "--json").stdout)["manifest"]
    assert repository.refs["main"] in [model["version"] for model in manifest["models"]]

    run("models", "import", "hf:org/tiny@main")
    del hub.repositories["org/tiny"]
    (project / "service.py").write_text(SERVICE.replace("org/tiny", "org/gone"))
    done = run("build", str(project), check=False)
    assert (done.returncode, "There is no model org/gone" in done.stderr) == (1, True)


def test_a_bentofile_may_name_a_model_of_the_hub(
    hub: Hub, repository: Repository, project: Path, run: Callable[..., Any]
) -> None:
    (project / "bentofile.yaml").write_text(
        'service: "service:Reader"\nmodels: [{tag: "hf:org/tiny@v1", alias: words}]\n'
    )
    reading = 'bentofn.models.get("words").path_of("vocab.txt")'
    (project / "service.py").write_text(
        "import bentofn\n@bentofn.service\nclass Reader:\n    @bentofn.api(examples=[{}])\n"
        f"    def read(self) -> str:\n        return open({reading}).read()\n"
    )
    built = json.loads(run("build", str(project), "--json").stdout)
    manifest = json.loads(run("get", built["tag"], "--json").stdout)["manifest"]
    assert [(each["alias"], each["version"]) for each in manifest["models"]] == [
        ("words", repository.refs["v1"])
    ]


def test_a_project_that_is_not_built_fetches_when_it_is_first_read(
    hub: Hub, repository: Repository, project: Path, tmp_path: Path
) -> None:
    code = "from service import Reader; print(Reader().read())"
    environment = {
        "PATH": "/usr/bin:/bin",
        "BENTOFN_HOME": str(tmp_path / "home"),
        "HF_HOME": str(tmp_path / "hf"),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_DISABLE_XET": "1",
    }
    command = [sys.executable, "-c", code]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout == "['2', '1']\n"
        asked = len(hub.requests)
    assert len(hub.requests) == asked
