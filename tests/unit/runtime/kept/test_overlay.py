from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from bentofn.runtime.kept.layer import FILES
from bentofn.runtime.kept.overlay import PROGRAMS, lay, stand_in, written


def test_what_is_kept_is_found_beside_what_is_written(tmp_path: Path) -> None:
    kept, writes = tmp_path / "kept", tmp_path / "writes"
    folder = kept / FILES / "inductor" / "ab"
    folder.mkdir(parents=True)
    (folder / "kernel.so").write_text("kept")
    os.utime(folder / "kernel.so", ns=(1, 1_700_000_000_123_456_789))
    lay(writes, kept)
    lay(writes, kept)  # another process of the same bento may have been first
    found = writes / "inductor" / "ab" / "kernel.so"
    assert found.read_text() == "kept"
    assert found.stat().st_mtime_ns == 1_700_000_000_123_456_789
    (found.parent / "new.so").write_text("new")
    (writes / "inductor" / "locks").mkdir()
    (writes / "inductor" / "locks" / "x.lock").touch()
    (found.parent / ".1.2.tmp").touch()
    assert list(written(writes)) == [found.parent / "new.so"]
    assert [path.name for path in folder.iterdir()] == ["kernel.so"]


def test_triton_is_told_where_the_files_of_a_kernel_are_now(tmp_path: Path) -> None:
    kept, writes = tmp_path / "kept", tmp_path / "writes"
    folder = kept / FILES / "triton" / "KEY"
    folder.mkdir(parents=True)
    names = ("add.json", "add.cubin")
    for name in names:
        (folder / name).write_text(name)
    # As Triton writes it, where it compiles.
    built = {"child_paths": {name: f"/where/it/was/built/KEY/{name}" for name in names}}
    (folder / "__grp__add.json").write_text(json.dumps(built))
    (folder / "__grp__other.json").write_text("of another version")
    lay(writes, kept)
    group = json.loads((writes / "triton" / "KEY" / "__grp__add.json").read_text())
    assert {name: Path(path).read_text() for name, path in group["child_paths"].items()} == {
        name: name for name in names
    }
    assert (writes / "triton" / "KEY" / "__grp__other.json").read_text() == "of another version"
    assert list(written(writes)) == []


def test_a_compiler_that_is_not_there_says_what_it_said_and_why_it_compiles_nothing(
    tmp_path: Path,
) -> None:
    stand_in(tmp_path, {"--version": "g++ 14.2\n", "-v": "Target: x86\n"})

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["g++", *arguments], env={"PATH": f"{tmp_path / PROGRAMS}:/bin"}, text=True,
            capture_output=True, check=False,
        )  # fmt: skip

    assert run("--version").stdout == "g++ 14.2\n"
    assert run("-v").stdout == "Target: x86\n"
    refused = run("-shared", "kernel.cpp")
    assert refused.returncode == 1
    assert "this instance has no C++ compiler" in refused.stderr
