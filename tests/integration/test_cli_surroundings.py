"""The command line in bad surroundings: homes, streams, locales and signals that a user has."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bentofn.packager.home import Home, leftovers

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def one_error(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("Error: "))
    return error


@pytest.mark.parametrize("command", [["list"], ["models", "list"], ["emulator", "start"]])
def test_a_home_that_is_a_file_is_named(home: Path, bentofn: Bentofn, command: list[str]) -> None:
    home.write_text("in the way")
    assert str(home) in one_error(bentofn(*command, home=home, check=False))


def test_looking_at_a_home_that_is_a_file(home: Path, bentofn: Bentofn) -> None:
    home.write_text("in the way")
    assert "does not run" in bentofn("emulator", "status", home=home).stdout
    assert "is not a directory" in bentofn("doctor", home=home).stdout


def test_a_home_that_cannot_be_is_named(tmp_path: Path, bentofn: Bentofn) -> None:
    too_long = tmp_path / ("x" * 300)
    assert "too long" in one_error(bentofn("list", home=too_long, check=False))


def test_wrong_usage_is_one_document_too(home: Path, bentofn: Bentofn) -> None:
    done = bentofn("biuld", "--json", home=home, check=False)
    assert done.returncode == 2
    assert "'build'" in json.loads(done.stdout)["error"]


@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "| true", "2>&- >&-"])
@pytest.mark.parametrize("command", ["list", "list --json", "get nothing --json", "--help"])
def test_output_that_goes_nowhere_is_no_traceback(
    home: Path, command: str, redirection: str
) -> None:
    shell = f"{sys.executable} -m bentofn {command} {redirection}"
    environment = {**os.environ, "BENTOFN_HOME": str(home)}
    done = subprocess.run(
        shell, shell=True, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_names_need_no_locale(tmp_path: Path, home: Path, bentofn: Bentofn) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    bentofn("init", str(tmp_path / "pöjekt"), home=home, **plain)
    bentofn("build", str(tmp_path / "pöjekt"), home=home, **plain)
    assert "ö" in one_error(bentofn("get", "ö", home=home, check=False))


@pytest.mark.parametrize("delay", [0.5, 1.2, 2.0])
def test_sigterm_cleans_up_too(tmp_path: Path, home: Path, bentofn: Bentofn, delay: float) -> None:
    bentofn("init", str(tmp_path / "hello"), home=home)
    command = [sys.executable, "-m", "bentofn", "build", str(tmp_path / "hello")]
    environment = {**os.environ, "BENTOFN_HOME": str(home)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    time.sleep(delay)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    if process.returncode not in (0, -signal.SIGTERM):  # it had not begun, or had ended
        assert stderr.splitlines()[-1].startswith("Error: Terminated")
    assert leftovers(Home(home)) == []


def test_sigterm_while_a_class_is_made_is_no_other_error(
    tmp_path: Path, home: Path, bentofn: Bentofn
) -> None:
    # The command line imports click; this one ends it where Python 3.11 wraps what is raised.
    (tmp_path / "click.py").write_text(
        "import signal\n"
        "class Name:\n"
        "    def __set_name__(self, owner, name):\n"
        "        signal.raise_signal(signal.SIGTERM)\n"
        "class Owner:\n"
        "    name = Name()\n"
    )
    done = bentofn("list", home=home, check=False, PYTHONPATH=str(tmp_path))
    assert one_error(done) == "Error: Terminated; nothing is damaged. Run it again to finish it."


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bentofile.yaml", "name: a\nservice: service:Hello\nname: b\n", "'name' stands twice"),
        ("bentofile.yaml", "service: nope:Hello\n", "no module 'nope' in the project"),
        ("bentofile.yaml", "service: service:Hello\npython: [a]\n", "python must be a mapping"),
        ("bentofile.yaml", None, "is a directory"),
        ("pyproject.toml", "[tool]\nbentofn = 3\n", "tool.bentofn is not a table"),
        ("pyproject.toml", None, "is a directory"),
    ],
)
def test_a_build_file_that_is_none(
    tmp_path: Path, home: Path, bentofn: Bentofn, name: str, text: str | None, said: str
) -> None:
    project = tmp_path / "hello"
    bentofn("init", str(project), home=home)
    (project / "bentofile.yaml").unlink()
    if text is None:
        (project / name).mkdir()
    else:
        (project / name).write_text(text)
    assert said in one_error(bentofn("build", str(project), home=home, check=False))


def test_a_build_tells_what_it_did_not_apply(tmp_path: Path, home: Path, bentofn: Bentofn) -> None:
    project = tmp_path / "hello"
    bentofn("init", str(project), home=home)
    with (project / "bentofile.yaml").open("a") as file:
        file.write("envs: [{name: A, value: b, stage: build}]\n")
    done = bentofn("build", str(project), "--json", home=home)
    assert "not applied" in json.loads(done.stdout)["warnings"][0]


def test_an_import_that_never_stops_writing_is_no_danger(
    tmp_path: Path, home: Path, bentofn: Bentofn
) -> None:
    project = tmp_path / "hello"
    bentofn("init", str(project), home=home)
    loud = "import os, sys\nfor _ in range(200): print('x' * 10**6, file=sys.stderr)\n"
    (project / "service.py").write_text(f"{loud}print('last words', file=sys.stderr)\nos._exit(3)")
    said = one_error(bentofn("build", str(project), home=home, check=False))
    assert "last words" in said


def test_a_damaged_store_is_mended_by_building_again(
    tmp_path: Path, home: Path, bentofn: Bentofn
) -> None:
    project = tmp_path / "hello"
    bentofn("init", str(project), home=home)
    bentofn("build", str(project), home=home)
    blobs = list((home / "store" / "blobs" / "sha256").iterdir())
    for blob in blobs:
        blob.chmod(0o600)
        blob.write_bytes(b"garbage")
    for _ in blobs:
        done = bentofn("build", str(project), home=home, check=False)
        if done.returncode == 0:
            break
        assert "damaged" in one_error(done)
    assert done.returncode == 0, done.stderr
    bentofn("get", "hello", home=home)
