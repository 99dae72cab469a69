from __future__ import annotations

import dataclasses
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bentofn.adapters.local.state import State
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home

SPEC = FunctionSpec("echo", "echo:1", FunctionSettings(environment={"K": "v"}))


def test_a_home_without_deployments_is_not_written_to(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    assert State(home).live() == []
    assert State(home).remove("echo") is False
    assert not home.path.exists()


def test_the_newest_version_is_live_and_read_back_whole(tmp_path: Path) -> None:
    state = State(Home(tmp_path))
    first = state.add(SPEC, "sha256:a")
    second = state.add(dataclasses.replace(SPEC, bento="echo:2"), "sha256:b")
    assert (first.version, second.version) == (1, 2)
    assert State(Home(tmp_path)).live() == [second]


def test_targets_do_not_see_each_other(tmp_path: Path) -> None:
    State(Home(tmp_path), "local").add(SPEC, "sha256:a")
    assert State(Home(tmp_path), "modal").live() == []


def test_a_removed_function_starts_again_at_version_one(tmp_path: Path) -> None:
    state = State(Home(tmp_path))
    state.add(SPEC, "sha256:a")
    state.add(SPEC, "sha256:b")
    assert state.remove("echo") is True
    assert state.live() == []
    assert state.add(SPEC, "sha256:c").version == 1


def test_the_database_is_for_its_owner_only(tmp_path: Path) -> None:
    home = Home(tmp_path)
    State(home).add(SPEC, "sha256:a")
    assert stat.S_IMODE(home.deployments_db.stat().st_mode) == 0o600


def test_writers_at_once_get_versions_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: State(Home(tmp_path)).add(SPEC, f"sha256:{n}"), range(8)))
    assert sorted(deployment.version for deployment in made) == list(range(1, 9))
    assert len(State(Home(tmp_path)).live()) == 1
