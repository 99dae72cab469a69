"""Two builds on two paths, by two users, on two days: the same bytes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534

FILES = {
    "service.py": """
import bentofn
import idna

@bentofn.service
class Reproducible:
    @bentofn.api(examples=[{"text": "hi"}])
    def echo(self, text: str) -> str:
        return idna.encode(text).decode()
""",
    "bentofile.yaml": """
service: "service:Reproducible"
include: ["*.py", "data/*"]
python:
  packages: [idna]
""",
    "data/a.txt": "a",
    "data/b.txt": "b",
}


@pytest.fixture
def places() -> Iterator[tuple[Path, Path]]:
    """Two folders of which the second is, for root, another user's."""
    # Not pytest's: other users cannot enter that.
    folders = [Path(tempfile.mkdtemp(prefix=f"bentofn-{name}-")) for name in ("here", "there")]
    deep = folders[1] / "a" / "deeper" / "path"
    deep.mkdir(parents=True)
    yield folders[0], deep
    for folder in folders:
        shutil.rmtree(folder)


def write(folder: Path, *, backwards: bool, day: int) -> None:
    for name, text in sorted(FILES.items(), reverse=backwards):
        path = folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (day * 86_400, day * 86_400))


def build(folder: Path, user: list[str], umask: int, zone: str) -> dict[str, str]:
    environment = {
        **os.environ,
        **{"BENTOFN_HOME": str(folder / "home"), "HOME": str(folder), "TZ": zone},
        **{"PYTHONHASHSEED": str(umask), "LC_ALL": "C" if umask else "C.UTF-8"},
    }
    made: dict[str, str] = {}
    commands = [
        ["build", str(folder / "project"), "--json"],
        ["export", "reproducible", str(folder / "out.tar"), "--json"],
    ]
    for command in commands:
        done = subprocess.run(
            [*user, sys.executable, "-m", "bentofn", *command],
            env=environment,
            cwd=folder,
            umask=umask,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        made |= json.loads(done.stdout)
    return made


def other_user(folder: Path) -> list[str]:
    """A command that runs another as another user, if this one may."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return []
    for path in (folder.parents[2], *folder.parents[2].rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    # The interpreter may be in a folder that is closed to others.
    reading = "+dac_override,+dac_read_search"
    user = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    return ["setpriv", *user, "--inh-caps", reading, "--ambient-caps", reading]


def test_the_same_bytes_whoever_builds_where_and_when(places: tuple[Path, Path]) -> None:
    here, there = places
    write(here, backwards=False, day=1)
    write(there, backwards=True, day=20_000)
    first = build(here, [], 0o022, "UTC")
    someone = other_user(there)
    second = build(there, someone, 0o077, "Asia/Kolkata")
    assert not someone or (there / "home").stat().st_uid == NOBODY
    assert first["digest"] == second["digest"]
    assert (here / "out.tar").read_bytes() == (there / "out.tar").read_bytes()
    if shutil.which("diffoscope"):
        files = [str(here / "out.tar"), str(there / "out.tar")]
        done = subprocess.run(["diffoscope", *files], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")
