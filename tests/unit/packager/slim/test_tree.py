"""Slimming an installed tree: what is left, what RECORD says, and whose files are not touched."""

from __future__ import annotations

import base64
import csv
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bentofn.packager.slim.strip import Strip, find_strip, strip_file
from bentofn.packager.slim.tree import slim_tree
from bentofn.runtime.manifest import Saving

STRIP = find_strip()
needs_binutils = pytest.mark.skipif(
    STRIP is None or shutil.which("gcc") is None or sys.platform != "linux",
    reason="needs gcc and binutils",
)


def record_row(path: str, data: bytes) -> list[str]:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return [path, f"sha256={digest}", str(len(data))]


def install(tree: Path, files: dict[str, bytes], name: str = "pkg-1") -> Path:
    """A distribution as an installer leaves it."""
    info = f"{name}.dist-info"
    files = {**files, f"{info}/METADATA": b"Name: pkg\n", f"{info}/INSTALLER": b"uv"}
    for path, data in files.items():
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    with (tree / info / "RECORD").open("w", newline="") as file:
        rows = [record_row(path, data) for path, data in files.items()]
        csv.writer(file).writerows([*rows, [f"{info}/RECORD", "", ""]])
    return tree


def content(tree: Path) -> set[str]:
    return {p.relative_to(tree).as_posix() for p in tree.rglob("*") if p.is_file()}


def check_record(tree: Path, name: str = "pkg-1") -> None:
    """RECORD names what is there, with its hash and size, and nothing else."""
    with (tree / f"{name}.dist-info" / "RECORD").open(newline="") as file:
        rows = list(csv.reader(file))
    assert {row[0] for row in rows} == content(tree)
    for row in rows:
        if row[1]:
            assert row == record_row(row[0], (tree / row[0]).read_bytes())


def library(folder: Path) -> bytes:
    """A shared object with debug symbols."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "x.c").write_text("static int hidden(int x) { return x * 2; }\n"
                                "int twice(int x) { return hidden(x); }\n")  # fmt: skip
    command = ["gcc", "-g", "-shared", "-fPIC", "-o", str(folder / "x.so"), str(folder / "x.c")]
    subprocess.run(command, check=True)
    return (folder / "x.so").read_bytes()


def test_what_goes_and_what_is_saved(tmp_path: Path) -> None:
    tree = install(
        tmp_path / "env",
        {
            "pkg/__init__.py": b"",
            "pkg/py.typed": b"",
            "pkg/__init__.pyi": b"x: int\n",
            "pkg/tests/__init__.py": b"from pkg.tests import deep\n",
            "pkg/tests/deep/data.bin": b"12345",
            "pkg/testing/__init__.py": b"",
        },
    )
    (tree / "pkg" / "tests" / "deep" / "stray").mkdir()
    (tree / "stray.pyi").write_text("not in any RECORD")
    saved = slim_tree(tree, None)
    assert saved == (
        Saving("tests", 2, 32),
        Saving("stubs", 1, 7),
        Saving("dist-info extras", 1, 2),
    )
    (tree / "stray.pyi").unlink()
    check_record(tree)
    assert content(tree) == {
        "pkg/__init__.py",
        "pkg/py.typed",
        "pkg/testing/__init__.py",
        "pkg-1.dist-info/METADATA",
        "pkg-1.dist-info/RECORD",
    }


def test_no_empty_folder_is_left(tmp_path: Path) -> None:
    # It would be a namespace package that the layers do not have.
    tree = install(tmp_path / "env", {"pkg/a.py": b"", "pkg/tests/sub/x.py": b""})
    slim_tree(tree, None)
    assert not (tree / "pkg" / "tests").exists()
    assert (tree / "pkg").is_dir()


@pytest.mark.parametrize(
    "importer",
    [
        {"pkg/__init__.py": b"from .tests.runner import Runner\n"},
        {"pkg/__init__.py": b"from . import tests\n"},
        {"pkg/sub/x.py": b"def f():\n    from ..tests import runner\n"},
        {"other/x.py": b"import pkg.tests.runner as r\n"},
        {"other/x.py": b"import importlib\nimportlib.import_module('pkg.tests.runner')\n"},
        {"pkg/testing/__init__.py": b"from pkg.tests.runner import *\n"},
    ],
)
def test_tests_that_something_imports_stay(tmp_path: Path, importer: dict[str, bytes]) -> None:
    files = {
        "pkg/tests/__init__.py": b"",
        "pkg/tests/runner.py": b"",
        "pkg/sub/tests/x.py": b"import pkg.sub.tests.x\n",
    }
    tree = install(tmp_path / "env", {**files, **importer})
    slim_tree(tree, None)
    assert "pkg/tests/runner.py" in content(tree)
    assert "pkg/sub/tests/x.py" not in content(tree)


def test_a_broken_file_imports_nothing(tmp_path: Path) -> None:
    tree = install(
        tmp_path / "env", {"pkg/py2.py": b"import pkg.tests\nprint 1\n", "pkg/tests/x.py": b""}
    )
    slim_tree(tree, None)
    assert "pkg/tests/x.py" not in content(tree)


def test_a_stub_that_its_module_reads_stays(tmp_path: Path) -> None:
    files = {
        "lazy/__init__.py": b"lazy_loader.attach_stub(__name__, __file__)\n",
        "lazy/__init__.pyi": b"from .x import y\n",
        "lazy/x.pyi": b"",
        "lazy/x.py": b"",
    }
    tree = install(tmp_path / "env", files)
    slim_tree(tree, None)
    assert "lazy/__init__.pyi" in content(tree)
    assert "lazy/x.pyi" not in content(tree)


def test_a_file_of_two_distributions_leaves_both_records(tmp_path: Path) -> None:
    tree = install(tmp_path / "env", {"pkg/tests/x.py": b"", "pkg/a.py": b""})
    install(tree, {"pkg/tests/x.py": b"", "pkg/b.py": b""}, "two-1")
    slim_tree(tree, None)
    for name in ("pkg-1", "two-1"):
        assert "pkg/tests" not in (tree / f"{name}.dist-info" / "RECORD").read_text()


@needs_binutils
def test_stripping_replaces_and_never_writes_in_place(tmp_path: Path) -> None:
    data = library(tmp_path / "built")
    tree = install(tmp_path / "env", {"pkg/x.so": data, "pkg/tests/x.py": b"x"})
    (tree / "pkg" / "x.so").chmod(0o755)
    cache = tmp_path / "cache"
    cache.mkdir()
    before = {}
    for path in content(tree):
        other = cache / path.replace("/", "_")
        os.link(tree / path, other)
        before[other] = other.read_bytes()
    saved = {saving.rule: saving for saving in slim_tree(tree, STRIP)}
    assert {path: path.read_bytes() for path in before} == before
    new = tree / "pkg" / "x.so"
    assert saved["debug symbols"] == Saving("debug symbols", 1, len(data) - new.stat().st_size)
    assert new.stat().st_mode & 0o777 == 0o755
    assert ctypes.CDLL(str(new)).twice(21) == 42
    check_record(tree)


@needs_binutils
def test_two_strips_are_the_same_bytes(tmp_path: Path) -> None:
    assert STRIP is not None
    data = library(tmp_path / "built")
    results = []
    for name in ("a.so", "b.so.1"):
        (tmp_path / name).write_bytes(data)
        assert strip_file(STRIP, tmp_path / name) > 0
        results.append((tmp_path / name).read_bytes())
        assert strip_file(STRIP, tmp_path / name) == 0
    assert results[0] == results[1]


def fake_strip(folder: Path, script: str) -> Strip:
    """A program that is called as strip is: ``--strip-unneeded -o $3 $4``."""
    program = folder / "strip"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return Strip(str(program), "fake 1")


@needs_binutils
@pytest.mark.parametrize(
    "script",
    [
        "exit 1",
        "exit 0",
        'cp "$4" "$3"',
        'echo rubbish > "$3"',
        # A byte of the first loaded segment's file offset, which is no longer aligned then.
        'strip --strip-unneeded -o "$3" "$4" && printf "\\007" | '
        'dd of="$3" bs=1 seek=72 conv=notrunc status=none',
    ],
)
def test_what_cannot_be_stripped_stays(tmp_path: Path, script: str) -> None:
    data = library(tmp_path / "built")
    path = tmp_path / "x.so"
    path.write_bytes(data)
    assert strip_file(fake_strip(tmp_path, script), path) == 0
    assert path.read_bytes() == data
    assert sorted(p.name for p in tmp_path.iterdir()) == ["built", "strip", "x.so"]


def test_a_linker_script_is_no_library(tmp_path: Path) -> None:
    path = tmp_path / "libc.so"
    path.write_text("GROUP ( libc.so.6 )")
    assert strip_file(fake_strip(tmp_path, 'echo > "$3"'), path) == 0
    assert path.read_text() == "GROUP ( libc.so.6 )"


@pytest.mark.parametrize(
    ("others", "stays"),
    [({}, False), ({"genai/__init__.py": b"CDLL('libonnxruntime.so')"}, True)],
)
def test_onnx_runtimes_library_stays_for_a_package_that_opens_it(
    tmp_path: Path, others: dict[str, bytes], stays: bool
) -> None:
    library = "onnxruntime/capi/libonnxruntime.so.1.32.0"
    files = {"onnxruntime/__init__.py": b"'libonnxruntime.so'", library: b"ELF", **others}
    slim_tree(install(tmp_path, files), None)
    assert (library in content(tmp_path)) == stays
    check_record(tmp_path)
