from __future__ import annotations

from pathlib import Path

import pytest

from bentofn.runtime.state import state_folder


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("BENTOFN_STATE", "BENTOFN_ROOT", "BENTOFN_FUNCTION", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_project_writes_where_it_runs(env: pytest.MonkeyPatch) -> None:
    assert state_folder("name") == Path()


def test_a_bento_writes_below_the_users_home(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env.setenv("BENTOFN_ROOT", "/opt/bento")
    env.setenv("HOME", str(tmp_path))
    assert state_folder("name") == tmp_path / ".local" / "state" / "bentofn" / "name"
    env.setenv("BENTOFN_FUNCTION", "function")
    env.setenv("XDG_STATE_HOME", "/state")
    assert state_folder("name") == Path("/state/bentofn/function")
    env.setenv("BENTOFN_STATE", "/said")
    assert state_folder("name") == Path("/said")


def test_without_a_home_it_writes_temporary_files(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env.setenv("BENTOFN_ROOT", "/opt/bento")
    env.setenv("HOME", str(tmp_path / "missing"))
    env.setattr("tempfile.tempdir", str(tmp_path))
    assert state_folder("name") == tmp_path / "bentofn" / "name"
