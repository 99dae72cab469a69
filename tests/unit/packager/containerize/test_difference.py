"""A root, changed, is the old root with the difference on top."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from pathlib import Path

import pytest

from bentofn.packager.containerize.blob import Layer, bytes_blob
from bentofn.packager.containerize.difference import changes, snapshot, write_changes
from bentofn.packager.containerize.media import TAR
from bentofn.packager.containerize.rootfs import unpack_image

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="owners are only set by root")


def difference(root: Path, before: dict[str, object]) -> bytes:
    after = snapshot(root)
    changed, gone = changes(before, after)  # type: ignore[arg-type]
    out = io.BytesIO()
    write_changes(root, after, changed, gone, out)
    return out.getvalue()


def content(root: Path) -> dict[str, tuple[int, int, str]]:
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        text = str(path.readlink()) if path.is_symlink() else ""
        text = path.read_text() if not text and path.is_file() else text
        found[str(path.relative_to(root))] = (status.st_mode, status.st_uid, text)
    return found


def make(root: Path) -> None:
    for folder in ("bin", "etc/keep", "gone/deep", "var/log", "tmp"):
        (root / folder).mkdir(parents=True)
    (root / "bin/tool").write_text("tool")
    (root / "etc/passwd").write_text("root")
    (root / "gone/deep/file").write_text("x")
    (root / "turns").write_text("file")


def change(root: Path) -> None:
    (root / "bin/tool").chmod(0o4755)
    (root / "etc/new").write_text("new")
    os.chown(root / "etc/new", 5, 5)
    (root / "etc/hard").hardlink_to(root / "etc/new")
    (root / "etc/link").symlink_to("/etc/new")
    (root / "etc/keep").chmod(0o700)
    shutil.rmtree(root / "gone")
    (root / "turns").unlink()
    (root / "turns").mkdir()
    (root / "turns/inside").write_text("inside")


def test_the_difference_makes_the_new_root_of_the_old(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    make(old)
    make(new)
    before = snapshot(new)
    change(new)
    data = difference(new, dict(before))
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    unpack_image([Layer(bytes_blob(data, TAR), digest, "")], old, "the difference")
    assert content(old) == content(new)
    assert (old / "etc/hard").samefile(old / "etc/new")


def test_the_same_changes_give_the_same_bytes_and_caches_are_no_change(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        root = tmp_path / name
        make(root)
        before = snapshot(root)
        change(root)
        for noise in ("var/log/apt.log", "tmp/x", "etc/resolv.conf", "usr/lib/__pycache__/x.pyc"):
            (root / noise).parent.mkdir(parents=True, exist_ok=True)
            (root / noise).write_text(name)
        made.append(difference(root, dict(before)))
    assert made[0] == made[1]
    assert b"apt.log" not in made[0]


def test_no_change_is_an_empty_layer(tmp_path: Path) -> None:
    make(tmp_path / "root")
    before = snapshot(tmp_path / "root")
    assert difference(tmp_path / "root", dict(before)).strip(b"\0") == b""
