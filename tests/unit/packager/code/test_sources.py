"""Which files of a project go into its bento."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from bentofn.packager.code.sources import HashedTree, SourceTree, collect
from bentofn.packager.digest_cache import hash_tree
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def tree(
    folder: Path, include: Sequence[str] = ("*",), exclude: Sequence[str] = (), root: str = ""
) -> SourceTree:
    return collect(folder, include, exclude, root)


def paths(
    folder: Path, include: Sequence[str] = ("*",), exclude: Sequence[str] = (), root: str = ""
) -> list[str]:
    return [file.path for file in tree(folder, include, exclude, root).files]


def test_some_names_never_go_in(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "b/c.py", ".git/x", ".venv/x", "b/venv/x", "b/__pycache__/x")
    write(tmp_path, "b/.DS_Store")
    assert paths(tmp_path) == ["a.py", "b/c.py"]


def test_patterns_mean_what_they_mean_to_git(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "b/c.py", "b/data.json", "data/x.bin", "deep/data/y.bin", "z.txt")
    assert paths(tmp_path, ["*.py", "/data/"]) == ["a.py", "b/c.py", "data/x.bin"]
    assert paths(tmp_path, ["*", "!*.bin"], ["b/"]) == ["a.py", "z.txt"]
    assert paths(tmp_path, ["*"], ["**/data", "b/*.json"]) == ["a.py", "b/c.py", "z.txt"]


def test_bentoignore_in_any_folder(tmp_path: Path) -> None:
    write(tmp_path, "a.log", "b/c.log", "b/keep.log", "b/d/x.tmp", "e/x.tmp")
    (tmp_path / ".bentoignore").write_text("# logs\n*.log\n.bentoignore\n")
    (tmp_path / "b" / ".bentoignore").write_text("!keep.log\n*.tmp\n")
    assert paths(tmp_path) == ["b/keep.log", "e/x.tmp"]


def test_exclude_is_stronger_than_a_negation(tmp_path: Path) -> None:
    write(tmp_path, "a.py", "secret.txt")
    (tmp_path / ".bentoignore").write_text("!secret.txt\n")
    assert paths(tmp_path, ["*"], ["secret.txt", ".bentoignore"]) == ["a.py"]


def test_links_inside_the_project_are_followed(tmp_path: Path) -> None:
    write(tmp_path, "real/a.py")
    (tmp_path / "file.py").symlink_to("real/a.py")
    (tmp_path / "folder").symlink_to("real")
    assert paths(tmp_path) == ["file.py", "folder/a.py", "real/a.py"]


def test_a_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "outside.txt", "project/a.py")
    (tmp_path / "project" / "link").symlink_to(tmp_path / "outside.txt")
    with pytest.raises(UserError, match="symbolic link link leads out of the project"):
        paths(tmp_path / "project")
    assert paths(tmp_path / "project", exclude=["link"]) == ["a.py"]


def test_a_folder_link_out_of_the_project_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "outside/x.txt", "project/a.py")
    (tmp_path / "project" / "link").symlink_to("../outside")
    with pytest.raises(UserError, match="leads out of the project"):
        paths(tmp_path / "project")


def test_links_that_lead_nowhere_are_left_out_and_said(tmp_path: Path) -> None:
    write(tmp_path, "a/b.py")
    (tmp_path / "dangling").symlink_to("absent")
    (tmp_path / "a" / "up").symlink_to("..")
    found = tree(tmp_path)
    assert [file.path for file in found.files] == ["a/b.py"]
    assert len(found.warnings) == 2


def test_a_pipe_is_left_out_and_said(tmp_path: Path) -> None:
    write(tmp_path, "a.py")
    os.mkfifo(tmp_path / "pipe")
    assert tree(tmp_path).warnings == ("pipe is neither a file nor a folder: left out.",)


def test_a_src_folder_becomes_the_root(tmp_path: Path) -> None:
    write(tmp_path, "src/service.py", "src/pkg/a.py", "README.md")
    assert paths(tmp_path, root="src") == ["README.md", "pkg/a.py", "service.py"]
    write(tmp_path, "service.py")
    with pytest.raises(UserError, match="become service"):
        paths(tmp_path, root="src")


def test_a_name_that_no_layer_can_carry(tmp_path: Path) -> None:
    try:
        (tmp_path / os.fsdecode(b"caf\xe9.txt")).write_text("x")
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    with pytest.raises(UserError, match="is not UTF-8"):
        paths(tmp_path)


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "a.txt")
    with pytest.raises(UserError, match="No file of"):
        paths(tmp_path, ["*.py"])


def hashed(folder: Path, home: Home) -> HashedTree:
    return hash_tree(folder, tree(folder).files, home)


def test_the_digest_follows_content_names_and_the_executable_bit(tmp_path: Path) -> None:
    project, home = tmp_path / "p", Home(tmp_path / "h")
    write(project, "a.py", "b.py")
    first = hashed(project, home).digest
    os.utime(project / "a.py", ns=(1, 1))
    (project / "a.py").chmod(0o600)
    assert hashed(project, home).digest == first
    seen = {first}
    (project / "a.py").chmod(0o700)
    seen.add(hashed(project, home).digest)
    (project / "a.py").write_text("more")
    seen.add(hashed(project, home).digest)
    (project / "a.py").rename(project / "c.py")
    seen.add(hashed(project, home).digest)
    assert len(seen) == 4


def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    project, home = tmp_path / "p", Home(tmp_path / "h")
    write(project, "a.py")
    before = hashed(project, home).digest
    stat = (project / "a.py").stat()
    (project / "a.py").write_text("b.py")
    os.utime(project / "a.py", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert hashed(project, home).digest != before


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    project, home = tmp_path / "p", Home(tmp_path / "h")
    write(project, "a.py")
    before = hashed(project, home).digest
    (cache,) = (home.cache / "sources").iterdir()
    for damage in ("", "[]", '{"x": 1}', '{"x": []}'):
        cache.write_text(damage)
        assert hashed(project, home).digest == before
