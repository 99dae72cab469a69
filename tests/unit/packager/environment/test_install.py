"""Two installs of one lock are the same bytes, and their files have owners."""

from __future__ import annotations

import base64
import csv
import hashlib
from pathlib import Path

from bentofn.packager.environment.install import SHEBANG, distributions, normalise


def installed(tree: Path, interpreter: str) -> Path:
    """What an installer leaves behind for one distribution with a script."""
    info = tree / "pkg-1.dist-info"
    for folder in (info, tree / "pkg" / "__pycache__", tree / "bin"):
        folder.mkdir(parents=True)
    script = f"#!{interpreter}\nprint('hi')\n".encode()
    if len(interpreter) > 120:
        script = (
            f"#!/bin/sh\n'''exec' \"{interpreter}\" \"$0\" \"$@\"\n' '''\nprint('hi')\n".encode()
        )
    (tree / "bin" / "run").write_bytes(script)
    (tree / "bin" / "other.sh").write_text("#!/bin/sh\necho\n")
    (tree / "pkg" / "__init__.py").write_text("x = 1\n")
    (tree / "pkg" / "__pycache__" / "x.pyc").write_text(interpreter)
    (tree / ".lock").write_text("")
    (info / "uv_cache.json").write_text(interpreter)
    (info / "direct_url.json").write_text(f'{{"url": "file://{interpreter}"}}')
    (info / "METADATA").write_text("Name: pkg\n")
    rows = [
        "pkg/__init__.py,sha256=x,6",
        f"../../bin/run,sha256={hashlib.sha256(script).hexdigest()},{len(script)}",
        "bin/other.sh,sha256=y,1",
        "pkg/__pycache__/x.pyc,,",
        "pkg-1.dist-info/uv_cache.json,,",
        "pkg-1.dist-info/direct_url.json,sha256=z,1",
        "pkg-1.dist-info/METADATA,,",
        "pkg-1.dist-info/RECORD,,",
    ]
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    return tree


def content(tree: Path) -> dict[str, bytes]:
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file()
    }


def test_installs_by_different_interpreters_become_equal(tmp_path: Path) -> None:
    short = installed(tmp_path / "a", "/usr/bin/python3.11")
    long = installed(tmp_path / "b", f"/{'long' * 40}/python")
    normalise(short)
    normalise(long)
    assert content(short) == content(long)
    assert (short / "bin" / "run").read_bytes() == SHEBANG + b"print('hi')\n"
    assert sorted(content(short)) == [
        "bin/other.sh",
        "bin/run",
        "pkg-1.dist-info/METADATA",
        "pkg-1.dist-info/RECORD",
        "pkg/__init__.py",
    ]


def test_the_record_stays_true(tmp_path: Path) -> None:
    tree = installed(tmp_path / "a", "/usr/bin/python3.11")
    normalise(tree)
    with (tree / "pkg-1.dist-info" / "RECORD").open(newline="") as file:
        rows = {row[0]: row[1:] for row in csv.reader(file)}
    script = (tree / "bin" / "run").read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(script).digest()).rstrip(b"=").decode()
    assert rows["bin/run"] == [f"sha256={digest}", str(len(script))]
    assert set(rows) == set(content(tree))


def test_every_file_has_one_owner(tmp_path: Path) -> None:
    tree = installed(tmp_path / "a", "/usr/bin/python3.11")
    (tree / "stray.txt").write_text("x")
    normalise(tree)
    found = distributions(tree)
    assert [dist.name for dist in found] == ["pkg-1", "unowned"]
    assert found[1].files == ("stray.txt",)
    files = [file for dist in found for file in dist.files]
    assert sorted(files) == sorted(content(tree))
    before = [dist.digest for dist in found]
    (tree / "stray.txt").write_text("y")
    assert [dist.digest for dist in distributions(tree)] != before


def test_modes_do_not_follow_the_umask(tmp_path: Path) -> None:
    tree = installed(tmp_path / "a", "/usr/bin/python3.11")
    (tree / "pkg" / "__init__.py").chmod(0o664)
    (tree / "bin" / "other.sh").chmod(0o770)
    (tree / "pkg").chmod(0o775)
    normalise(tree)
    modes = [oct((tree / name).stat().st_mode) for name in ("pkg/__init__.py", "bin/other.sh")]
    assert modes == ["0o100644", "0o100755"]
    assert (tree / "pkg").stat().st_mode & 0o777 == 0o755
