"""A project that would pack a secret or a dangerous pickle is refused, and told why."""

import os
import pickle
import random
import string
from pathlib import Path
from typing import Any

import pytest

from bentofn.packager.code.sources import collect
from bentofn.packager.digest_cache import hash_tree
from bentofn.packager.home import Home
from bentofn.packager.trust.admission import Allowed, admit
from bentofn.runtime.errors import UserError

TOKEN = "ghp" + "_" + "".join(random.Random(7).choices(string.ascii_letters, k=36))


NOTHING = Allowed()


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("id",)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (folder := tmp_path / "project").mkdir()
    (folder / "service.py").write_text("import os\n")
    return folder


def look(project: Path, allowed: Allowed = NOTHING, root: str = "", **envs: str) -> Any:
    home = Home(project.parent / "home")
    tree = hash_tree(project, collect(project, ["*"], [], root).files, home)
    return admit(tree, {"docker.setup_script": ""}, envs, allowed, project, home)


def test_a_clean_project_is_let_through(project: Path) -> None:
    assert look(project) == ()


def test_a_token_is_refused_by_its_place_and_never_shown(project: Path) -> None:
    (project / "app").mkdir()
    (project / "app" / "config.py").write_text(f"A = 1\nTOKEN = '{TOKEN}'\n")
    for _ in range(2):  # the second time from the cache
        with pytest.raises(UserError, match=r"app/config\.py:2 \(a GitHub token\)") as error:
            look(project)
        assert TOKEN not in str(error.value)
        assert ".bentoignore" in str(error.value)
        assert "--allow-secret app/config.py" in str(error.value)
    cached = [path.read_bytes() for path in (project.parent / "home").rglob("*.json")]
    assert cached
    assert not any(TOKEN.encode() in data for data in cached)
    assert look(project, Allowed(secrets=frozenset({"app/config.py"}))) == ()
    (project / ".bentoignore").write_text("app/config.py\n")
    assert look(project) == ()


def test_a_path_may_be_written_with_a_dot() -> None:
    allowed = Allowed.of(["./a/b.pem", "env:A"], ["./m.pkl"])
    assert allowed == Allowed(frozenset({"a/b.pem", "env:A"}), frozenset({"m.pkl"}))


def test_names_are_those_of_the_project(project: Path) -> None:
    (project / "src").mkdir()
    (project / "src" / ".env").write_text("A=1")
    with pytest.raises(UserError, match=r"src/\.env \(a file of variables\)"):
        look(project, root="src")
    assert look(project, Allowed(secrets=frozenset({"src/.env"})), root="src") == ()


def test_variables_are_looked_at(project: Path) -> None:
    with pytest.raises(UserError, match=r"env:API_TOKEN \(a GitHub token\)") as error:
        look(project, API_TOKEN=TOKEN, OTHER="x")
    assert TOKEN not in str(error.value)
    assert "without a value" in str(error.value)
    assert look(project, Allowed(secrets=frozenset({"env:API_TOKEN"})), API_TOKEN=TOKEN) == ()


def test_a_dangerous_pickle_is_refused_by_name(project: Path) -> None:
    (project / "model.pkl").write_bytes(pickle.dumps(Evil()))
    for _ in range(2):
        with pytest.raises(UserError, match=r"model\.pkl imports posix\.system") as error:
            look(project)
        assert "--allow-pickle model.pkl" in str(error.value)
    (note,) = look(project, Allowed(pickles=frozenset({"model.pkl"})))
    assert "you vouch" in note


def test_a_harmless_pickle_is_reported(project: Path) -> None:
    (project / "data.pkl").write_bytes(pickle.dumps({"a": [1, 2]}))
    (project / "path.pkl").write_bytes(b"csklearn.svm\nSVC\n.")
    data, path = look(project)
    assert data.startswith("data.pkl holds a pickle; nothing dangerous")
    assert "imports sklearn.svm.SVC" in path


def test_half_a_pickle_is_refused(project: Path) -> None:
    (project / "model.pkl").write_bytes(pickle.dumps({"a": "b" * 99})[:-20])
    with pytest.raises(UserError, match="cannot be read to its end"):
        look(project)


def test_a_file_that_changed_is_looked_at_again(project: Path) -> None:
    assert look(project) == ()
    (project / "service.py").write_text(f"TOKEN = '{TOKEN}'\n")
    with pytest.raises(UserError, match=r"service\.py:1"):
        look(project)


def test_the_order_of_findings_is_stable_and_their_number_bounded(project: Path) -> None:
    for number in range(12):
        (project / f"{number:02}.txt").write_text(TOKEN)
    with pytest.raises(UserError, match=r"00\.txt:1 .* 07\.txt:1 .* and 4 more"):
        look(project)
