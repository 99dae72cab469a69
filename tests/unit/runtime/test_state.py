from __future__ import annotations

import os
from pathlib import Path

import pytest

from bentofn.runtime.errors import UserError
from bentofn.runtime.state import state_folder, temporary_state


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
    assert state_folder("name") == tmp_path / f"bentofn-{os.geteuid()}" / "name"
    assert (tmp_path / f"bentofn-{os.geteuid()}").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("made", ["link", "file", "writable"])
def test_temporary_files_that_another_user_may_have_made_are_refused(
    env: pytest.MonkeyPatch, tmp_path: Path, made: str
) -> None:
    env.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"bentofn-{os.geteuid()}"
    if made == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        folder.symlink_to(tmp_path / "elsewhere")
    elif made == "file":
        folder.touch(0o600)
    else:
        folder.mkdir()
        folder.chmod(0o770)
    with pytest.raises(UserError, match=r"not a folder of this user's alone.*BENTOFN_STATE"):
        temporary_state()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_refused(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env.setattr("tempfile.tempdir", str(tmp_path))
    folder = temporary_state()
    assert temporary_state() == folder
    os.chown(folder, 65534, 65534)
    with pytest.raises(UserError, match="not a folder of this user's alone"):
        temporary_state()
