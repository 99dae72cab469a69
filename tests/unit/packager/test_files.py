"""What the packager's file helpers promise."""

from __future__ import annotations

from pathlib import Path

from bentofn.packager.files import link_tree


def test_a_linked_tree_keeps_what_is_replaced_in_the_other(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "pkg").mkdir(parents=True)
    (tree / "pkg" / "a.py").write_text("old")
    (tree / "pkg" / "b.py").write_text("same")
    (tree / "link").symlink_to("pkg/a.py")
    link_tree(tree, tmp_path / "kept")
    assert (tmp_path / "kept" / "pkg" / "b.py").samefile(tree / "pkg" / "b.py")
    (tree / "pkg" / "new").write_text("new")
    (tree / "pkg" / "new").replace(tree / "pkg" / "a.py")
    (tree / "pkg" / "b.py").unlink()
    kept = tmp_path / "kept"
    assert (kept / "pkg" / "a.py").read_text() == "old"
    assert (kept / "pkg" / "b.py").read_text() == "same"
    assert (kept / "link").readlink() == Path("pkg/a.py")
