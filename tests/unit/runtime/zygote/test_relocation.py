from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.runtime.zygote.relocation import moved, shadowed


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/trees/env", "/root/env"),
        ("/trees/env/torch/__init__.py", "/root/env/torch/__init__.py"),
        ("/trees/environment/torch", "/trees/environment/torch"),
        ("/usr/lib/python3/os.py", "/usr/lib/python3/os.py"),
        ("", ""),
    ],
)
def test_a_path_below_a_tree_moves_to_the_root(path: str, expected: str) -> None:
    assert moved(path, {"/trees/env": "/root/env", "/trees/rt": "/root/runtime"}) == expected


def test_a_project_may_not_bring_a_module_that_is_imported_already(tmp_path: Path) -> None:
    (tmp_path / "unheard_of.py").touch()
    (tmp_path / "json").mkdir()  # a namespace, which stands behind the standard library's
    (tmp_path / "README").touch()
    assert shadowed(str(tmp_path)) is None
    (tmp_path / "json" / "__init__.py").touch()
    assert shadowed(str(tmp_path)) == "json"


@pytest.mark.parametrize("name", ["json.py", "json.cpython-311-x86_64-linux-gnu.so"])
def test_a_module_of_any_suffix_counts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert shadowed(str(tmp_path)) == "json"
