"""The CRIU of this host: which one is used, its kernel cache, and what doctor says of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bentofn.packager.snapshot.criu.binary import Criu, CriuUnfit, find_criu
from bentofn.packager.snapshot.criu.check import too_old, why_unfit
from bentofn.packager.snapshot.criu.installed import VARIABLE, criu_at
from bentofn.packager.snapshot.criu.kdat import FOLDER, NAME, ensure_kdat, is_tmpfs

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def old_criu() -> Criu:
    """The system's CRIU where it is one that fails, as Debian 12's."""
    path = shutil.which("criu", path="/usr/sbin:/usr/bin")
    found = criu_at(Path(path)) if path is not None else None
    if found is None or too_old(found) is None:
        pytest.skip("this system has no old CRIU")
    return found


def test_the_systems_old_criu_is_refused_and_not_used(
    criu: Criu, old_criu: Criu, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is too old" in str(why_unfit(old_criu))
    assert find_criu() == criu != old_criu
    monkeypatch.setenv(VARIABLE, str(old_criu.path))
    with pytest.raises(CriuUnfit, match=r"is too old.*BENTOFN_CRIU names it"):
        find_criu()


def test_the_named_criu_comes_first(criu: Criu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(criu.path))
    assert find_criu() == criu
    monkeypatch.setenv(VARIABLE, "/bin/true")
    with pytest.raises(CriuUnfit, match="which is no CRIU that runs"):
        find_criu()


def test_the_cache_is_made_of_this_kernel(criu: Criu, tmp_path: Path) -> None:
    ensure_kdat(criu, tmp_path)
    made = (tmp_path / NAME).read_bytes()
    assert made
    (tmp_path / NAME).write_bytes(b"another's")
    ensure_kdat(criu, tmp_path)
    assert len((tmp_path / NAME).read_bytes()) == len(made)


def test_a_cache_that_cannot_be_kept_is_no_failure(criu: Criu, tmp_path: Path) -> None:
    ensure_kdat(criu, tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_criu_loads_the_cache_that_was_made(criu: Criu) -> None:
    if is_tmpfs(str(FOLDER)):
        pytest.skip("CRIU keeps its cache by itself on a tmpfs")
    ensure_kdat(criu)
    check = subprocess.run(
        [*criu.command, "check", "-v4"], capture_output=True, text=True, check=True
    )
    assert f"Loaded kdat cache from {FOLDER / NAME}" in check.stderr + check.stdout


def test_on_a_tmpfs_the_cache_is_left_to_criu(criu: Criu) -> None:
    code = """
from bentofn.packager.snapshot.criu.binary import find_criu
from bentofn.packager.snapshot.criu.kdat import ensure_kdat
ensure_kdat(find_criu())
"""
    script = 'mount -t tmpfs tmpfs /run && "$1" -c "$2" && ls -A /run && shift 2 && "$@" check -v4'
    alone = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*alone, sys.executable, code, *criu.command], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[:1] != [NAME]
    assert "Can't keep kdat cache" not in done.stderr


def test_doctor_says_that_snapshots_can_be_restored(
    criu: Criu, bentofn: Bentofn, tmp_path: Path
) -> None:
    document = json.loads(bentofn("doctor", "--json", home=tmp_path / "home").stdout)
    assert document["engine"] == "criu"
    (found,) = [each for each in document["findings"] if each["what"] == "snapshot engine: criu"]
    assert found["ok"]
    assert criu.version in found["detail"]
    assert "from disk (criu)" in bentofn("doctor", home=tmp_path / "home").stdout


def test_doctor_says_why_not_and_what_to_do(
    old_criu: Criu, bentofn: Bentofn, tmp_path: Path
) -> None:
    variables = {VARIABLE: str(old_criu.path)}
    document = json.loads(bentofn("doctor", "--json", home=tmp_path / "home", **variables).stdout)
    assert document["engine"] == "template"
    said = bentofn("doctor", home=tmp_path / "home", **variables).stdout
    assert "is too old, 4.2 is needed" in said
    assert "bentofn snapshot setup" in said


def test_doctor_clears_what_a_killed_dump_left(bentofn: Bentofn, tmp_path: Path) -> None:
    home = tmp_path / "home"
    staging = home / "snapshots" / ".bentofn-tmp-1-abcdef" / "images"
    staging.mkdir(parents=True)
    damaged = home / "snapshots" / ("0" * 32)
    damaged.mkdir()
    (damaged / "snapshot.json").write_text("{")
    left = json.loads(bentofn("doctor", "--json", home=home).stdout)["leftovers"]
    assert left == [str(staging.parent), str(damaged)]
    bentofn("doctor", "--fix", home=home)
    assert list((home / "snapshots").iterdir()) == []


def test_a_root_without_its_rights_is_told_which(
    criu: Criu, bentofn: Bentofn, tmp_path: Path
) -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("this host has no setpriv")
    lacking = ["setpriv", "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
    code = "from bentofn.packager.snapshot.criu.binary import find_criu; find_criu()"
    done = subprocess.run(
        [*lacking, sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "CriuUnfit: CRIU needs rights that root lacks here (CAP_SYS_PTRACE)" in done.stderr


def test_another_user_is_told_to_be_root(criu: Criu) -> None:
    parent, child = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(65534)
            find_criu()
        except CriuUnfit as error:
            os.write(child, str(error).encode())
        finally:
            os._exit(0)
    os.close(child)
    said = os.fdopen(parent).read()
    os.waitpid(pid, 0)
    assert said.startswith("CRIU needs root")


def test_setup_leaves_a_fit_criu_as_it_is(criu: Criu, bentofn: Bentofn, tmp_path: Path) -> None:
    document = json.loads(bentofn("snapshot", "setup", "--json", home=tmp_path / "home").stdout)
    assert document["installed"] is False
    assert document["version"] == criu.version
    assert document["path"] == str(criu.path)
    said = bentofn("snapshot", "setup", home=tmp_path / "home").stdout
    assert said == f"CRIU {criu.version} is there and works here: {criu.path}\n"
