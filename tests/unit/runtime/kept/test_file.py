from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bentofn.runtime.errors import UserError
from bentofn.runtime.kept import start
from bentofn.runtime.kept.file import kept_file
from bentofn.runtime.kept.host import this_host
from bentofn.runtime.kept.layer import Kept
from bentofn.runtime.layout import BentoRoot

MADE = b"a package"
TUNED = (
    "TORCHINDUCTOR_CPP_DYNAMIC_THREADS",
    "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS",
    "TORCHINDUCTOR_COMPILE_THREADS",
    "TRITON_DISABLE_LINE_INFO",
)


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is none of a bento yet, and afterwards again."""
    for name in (start.WRITES, *start.VARIABLES, *TUNED):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(start, "_current", [])


@pytest.fixture
def compiling(tmp_path: Path, outside: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process is one of a bento that compiles; what it writes is looked at afterwards."""
    root = BentoRoot(tmp_path / "root")
    (root.environment / "torch").mkdir(parents=True)
    monkeypatch.setenv("BENTOFN_ROOT", str(root.path))
    monkeypatch.setenv(start.WRITES, str(tmp_path / "writes"))
    start.begin()
    return tmp_path / "writes"


def test_a_file_is_made_once_and_kept(compiling: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = kept_file("encoder.pt2", lambda path: path.write_bytes(MADE))
    again = kept_file("encoder.pt2", lambda path: pytest.fail("it is there"))
    assert again == first
    assert first.read_bytes() == MADE
    assert compiling in first.parents
    start.answered()
    said = capsys.readouterr().err
    assert re.search(r"compiled at this start in \d+\.\d s: encoder\.pt2", said)
    assert (compiling / "kept.json").exists()


def root_with(tmp_path: Path, package: bytes) -> BentoRoot:
    """A root that keeps a file for this machine."""
    root = BentoRoot(tmp_path / "root")
    (root.environment / "torch").mkdir(parents=True)
    place = root.compiled / "here"
    (place / "files" / "own").mkdir(parents=True)
    (place / "files" / "own" / "encoder.pt2").write_bytes(package)
    host = replace(this_host(), compiler="", gpu="", driver="")
    (place / "kept.json").write_bytes(Kept(host, {}, {}).to_json())
    return root


def test_a_copy_finds_it_before_anything_is_compiled(
    tmp_path: Path, outside: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_ROOT", str(root_with(tmp_path, MADE).path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(start, "_later", [True])  # as where torch tells before it compiles
    start.begin()
    start.copied()
    found = kept_file("encoder.pt2", lambda path: pytest.fail("it is kept"))
    assert found.read_bytes() == MADE


def test_a_service_may_keep_the_path_for_the_copies_of_its_process(
    tmp_path: Path, outside: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_ROOT", str(root_with(tmp_path, MADE).path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    start.begin()
    found = kept_file("encoder.pt2", lambda path: pytest.fail("it is kept"))
    for directory in tmp_path.glob("bentofn-compiles-*"):  # it goes with the process
        shutil.rmtree(directory)
    assert found.read_bytes() == MADE


def test_a_process_that_is_copied_leaves_no_directory(
    tmp_path: Path, outside: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENTOFN_ROOT", str(root_with(tmp_path, MADE).path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    start.begin()
    assert len(list(tmp_path.glob("bentofn-compiles-*"))) == 1
    start.settled()
    assert list(tmp_path.glob("bentofn-compiles-*")) == []
    assert kept_file("encoder.pt2", lambda path: pytest.fail("it is kept")).read_bytes() == MADE
    kept_file("another.pt2", lambda path: path.write_bytes(MADE))
    start.settled()
    assert len(list(tmp_path.glob("bentofn-compiles-*"))) == 1  # copies may map it


def test_a_start_that_has_no_room_for_what_is_kept_goes_on(
    tmp_path: Path,
    outside: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = root_with(tmp_path, MADE)
    monkeypatch.setenv("BENTOFN_ROOT", str(root.path))
    (tmp_path / "full").touch()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "full"))
    start.begin()
    start.made("encoder.pt2", 1.0)
    start.answered()
    said = capsys.readouterr().err
    assert "encoder.pt2; what is kept with the bento cannot be laid out: [Errno 20]" in said


def test_one_that_fails_leaves_nothing(compiling: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        kept_file("x", lambda path: path.write_bytes(MADE) and 1 / 0)
    with pytest.raises(UserError, match="nothing was written"):
        kept_file("x", lambda path: None)
    assert [path for path in compiling.rglob("*") if path.is_file()] == []


def test_without_a_bento_it_is_made_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "_current", [])
    made = {kept_file("x", lambda path: path.write_bytes(MADE)) for _ in range(2)}
    assert len(made) == 2


def test_what_a_project_makes_goes_with_its_process(tmp_path: Path) -> None:
    code = "import bentofn; print(bentofn.kept_file('x', lambda path: path.touch()))"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("BENTOFN_ROOT", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, text=True, capture_output=True, check=True
    )
    assert done.stdout.startswith(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc/passwd"])
def test_a_path_is_no_name(name: str) -> None:
    with pytest.raises(UserError, match="takes the name of a file"):
        kept_file(name, lambda path: None)
