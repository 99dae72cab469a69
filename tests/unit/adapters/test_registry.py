from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.adapters.registry import get_adapter, targets
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError


def test_the_local_platform_is_a_target_like_any_other(tmp_path: Path) -> None:
    assert "local" in targets()
    assert get_adapter("local", Home(tmp_path)).name == "local"


def test_an_unknown_target_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no target named 'moon'; the known ones are .*local"):
        get_adapter("moon", Home(tmp_path))


def test_an_adapter_that_cannot_be_imported_names_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "bentofn_moon-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: bentofn-moon\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[bentofn.adapters]\nmoon = not_there:Moon\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "moon" in targets()
    with pytest.raises(UserError, match="pip install --upgrade 'bentofn-moon'"):
        get_adapter("moon", Home(tmp_path))
