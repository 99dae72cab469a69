"""Bytecode that is the same wherever it is made, and that tracebacks see through."""

from __future__ import annotations

import marshal
import subprocess
import sys
from pathlib import Path
from types import CodeType

import pytest

from bentofn.packager.code.bytecode import (
    cache_path,
    compile_files,
    files_below,
    refuse_broken,
)
from bentofn.packager.environment.target import Target, find_target
from bentofn.runtime.errors import UserError

TEXT = """
import json
WORDS = {"one", "two", "three", "four", "five"}
def known(word):
    return word in {"alpha", "beta", "gamma", "delta", "json"}
def fail():
    raise ValueError("here")
"""


@pytest.fixture(scope="module")
def target() -> Target:
    return find_target(None, None)


def write(folder: Path, **files: str) -> dict[str, Path]:
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return {f"{name}.py": folder / f"{name}.py" for name in files}


def bytes_of(files: dict[str, Path], output: Path, target: Target) -> dict[str, bytes]:
    entries, broken = compile_files(files, "src", target, output)
    assert not broken
    return {entry.path: Path(str(entry.source)).read_bytes() for entry in entries}


def test_the_same_text_gives_the_same_bytes_anywhere(tmp_path: Path, target: Target) -> None:
    alone = bytes_of(write(tmp_path / "one", a=TEXT), tmp_path / "out1", target)
    many = {f"m{i}": f"known = alpha = WORDS = {i}\n" for i in range(20)}
    among = bytes_of(write(tmp_path / "elsewhere", a=TEXT, **many), tmp_path / "out2", target)
    (path,) = alone
    assert alone[path] == among[path]
    assert path == f"opt/bento/src/{cache_path('a.py', target)}"


def test_code_objects_name_the_artifact_not_this_machine(tmp_path: Path, target: Target) -> None:
    made = bytes_of(write(tmp_path / "one", a=TEXT), tmp_path / "out", target)
    (data,) = made.values()
    assert str(tmp_path).encode() not in data
    code = marshal.loads(data[16:])
    assert isinstance(code, CodeType)
    assert code.co_filename == "/opt/bento/src/a.py"
    assert data[4:8] == b"\x01\0\0\0", "hash-based, unchecked (PEP 552)"


def test_a_traceback_elsewhere_shows_the_real_file_and_line(tmp_path: Path, target: Target) -> None:
    files = write(tmp_path / "root", a=TEXT)
    entries, _ = compile_files(files, "src", target, tmp_path / "root")
    assert Path(str(entries[0].source)).parent == tmp_path / "root" / "__pycache__"
    done = subprocess.run(
        [sys.executable, "-B", "-c", "import a; print(a.__cached__, a.known('x')); a.fail()"],
        cwd=tmp_path / "root",
        capture_output=True,
        text=True,
        check=False,
    )
    assert f'File "{tmp_path}/root/a.py", line 7, in fail' in done.stderr
    assert 'raise ValueError("here")' in done.stderr


def test_broken_files_are_told_with_file_and_line(tmp_path: Path, target: Target) -> None:
    files = write(tmp_path / "one", a="x = 1\n", b="x = 1\ndef (:\n", c="\0")
    entries, broken = compile_files(files, "src", target, tmp_path / "out")
    assert [entry.path.rpartition("/")[2][:2] for entry in entries] == ["a."]
    assert {(item.path, item.line) for item in broken} >= {("b.py", 2)}
    assert len(broken) == 2
    with pytest.raises(UserError, match=r"^b\.py:2: .*mend it.*1 more"):
        refuse_broken(broken)


def test_nothing_to_compile(tmp_path: Path, target: Target) -> None:
    assert compile_files({"a.txt": tmp_path}, "src", target, tmp_path) == ([], [])
    refuse_broken([])


def test_only_sources_of_the_place_count() -> None:
    files = ["env/d/__init__.py", "env/a.py", "env/b.so", "src/c.py"]
    assert files_below("env", files) == ["a.py", "d/__init__.py"]
