"""The command line as a user meets it: exit codes, one clear sentence, nothing half-done."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bentofn.packager.home import Home, leftovers
from bentofn.packager.store import Store

Bentofn = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def project(tmp_path: Path, home: Path, bentofn: Bentofn) -> Path:
    bentofn("init", str(tmp_path / "hello"), home=home)
    return tmp_path / "hello"


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a failed command."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, done.stderr
    return errors[0]


def test_wrong_usage_exits_with_two(home: Path, bentofn: Bentofn) -> None:
    assert bentofn("build", "--no-such-option", home=home, check=False).returncode == 2


def test_an_unknown_command_names_the_nearest(home: Path, bentofn: Bentofn) -> None:
    done = bentofn("biuld", home=home, check=False)
    assert done.returncode == 2
    assert "'build'" in done.stderr


def test_errors_are_one_json_document_too(tmp_path: Path, home: Path, bentofn: Bentofn) -> None:
    done = bentofn("build", str(tmp_path), "--json", home=home, check=False)
    assert json.loads(done.stdout)["error"] in failure(done)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("bentofile.yaml", "include:", "inclode:", r"bentofile\.yaml.*inclode.*include"),
        ("bentofile.yaml", "include:", "include: [", r"bentofile\.yaml.*line \d+"),
        ("service.py", "import bentofn", "import no_such_module", r"no_such_module"),
        ("service.py", "name: str", "name: object()", r"service\.py|greet"),
        ("service.py", "def greet", "def greet(", r"service\.py.*\d+"),
    ],
)
def test_a_broken_project_is_refused_in_one_sentence(
    project: Path, home: Path, bentofn: Bentofn, file: str, old: str, new: str, said: str
) -> None:
    text = (project / file).read_text()
    (project / file).write_text(text.replace(old, new, 1))
    sentence = failure(bentofn("build", str(project), home=home, check=False))
    assert re.search(said, sentence), sentence
    assert Store(Home(home)).list("bento") == []


def test_a_project_without_a_bentofile_is_told_what_to_write(
    tmp_path: Path, home: Path, bentofn: Bentofn
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "bentofile.yaml" in failure(bentofn("build", str(empty), home=home, check=False))


@pytest.mark.parametrize("command", [["serve"], ["emulator", "start"]])
def test_a_port_in_use_is_named(
    project: Path, home: Path, bentofn: Bentofn, taken_port: int, command: list[str]
) -> None:
    done = bentofn(*command, "--port", str(taken_port), home=home, cwd=project, check=False)
    assert f"port {taken_port} is in use" in failure(done).lower()


def test_serve_honours_port(project: Path, home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    environment = {**os.environ, "BENTOFN_HOME": str(home), "PORT": str(port)}
    command = [sys.executable, "-m", "bentofn", "serve", str(project)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert f":{port}" in process.stdout.readline()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/greet",
            data=b'{"name": "PORT"}',
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert response.read() == b"Hello, PORT!"
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0


@pytest.mark.parametrize("delay", [0.05, 0.3, 0.6, 1.0, 1.5, 2.5])
def test_ctrl_c_leaves_nothing_half_done(
    project: Path, home: Path, bentofn: Bentofn, delay: float
) -> None:
    environment = {**os.environ, "BENTOFN_HOME": str(home)}
    command = [sys.executable, "-m", "bentofn", "build", str(project)]
    process = subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    time.sleep(delay)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the whole foreground group
    _, stderr = process.communicate(timeout=60)
    assert process.returncode in (0, 1, -signal.SIGINT), stderr
    if "bentofn/cli.py" in stderr or "Traceback" not in stderr:  # not in Python's own start
        assert "Traceback" not in stderr
        if process.returncode == 1:
            assert stderr.count("Error: ") == 1
            assert "Interrupted" in stderr
    assert not home.exists() or leftovers(Home(home)) == []
    built = json.loads(bentofn("build", str(project), "--json", home=home).stdout)
    assert [entry.tag for entry in Store(Home(home)).list("bento")] == [built["tag"]]


def test_the_store_can_be_listed_shown_and_emptied(
    project: Path, home: Path, bentofn: Bentofn
) -> None:
    tag = json.loads(bentofn("build", str(project), "--json", home=home).stdout)["tag"]
    assert [each["tag"] for each in json.loads(bentofn("list", "--json", home=home).stdout)] == [
        tag
    ]
    assert (
        json.loads(bentofn("get", tag, "--json", home=home).stdout)["manifest"]["name"] == "hello"
    )
    assert "greet" in bentofn("get", "hello", home=home).stdout
    bentofn("delete", tag, home=home)
    assert json.loads(bentofn("list", "--json", home=home).stdout) == []
    assert list((home / "store" / "blobs" / "sha256").iterdir()) == []
    assert list((home / "unpacked").iterdir()) == []
    assert "hello" in failure(bentofn("get", "hello", home=home, check=False))


def test_doctor_clears_what_a_killed_process_left(home: Path, bentofn: Bentofn) -> None:
    left = home / "store" / "blobs" / ".bentofn-tmp-left"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert str(left) in bentofn("doctor", home=home).stdout
    bentofn("doctor", "--fix", home=home)
    assert not left.exists()
