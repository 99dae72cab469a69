"""What `bentofn serve` takes, and the folder that a service works in."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from serve_command import said_url

SERVICE = """
import bentoml

with open("data.txt") as file:
    DATA = file.read()

args = bentoml.use_arguments()

@bentoml.service
class Reader:
    @bentoml.api
    def read(self) -> str:
        return DATA + getattr(args, "end", "")
"""

SERVICES = """
import os
import bentoml

@bentoml.service
class Leaf:
    @bentoml.api
    def process(self) -> int:
        return os.getpid()

@bentoml.service
class Tree:
    leaf = bentoml.depends(Leaf)

    @bentoml.api
    def read(self) -> str:
        return f"{os.getpid()} {self.leaf.process()}"
"""

THREADED = """
import threading

threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
"""With another thread a process does not copy itself: its program is started again."""


@contextmanager
def served(folder: Path, *options: str, stop: signal.Signals = signal.SIGTERM) -> Iterator[str]:
    """Serve from a folder; the URL."""
    environment = {**os.environ, "BENTOFN_HOME": "home"}
    with said_url(folder, ("serve", "--port", "0", *options), environment, stop) as url:
        yield url


def ask(url: str) -> str:
    request = urllib.request.Request(f"{url}/read", b"{}", {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def write(folder: Path, text: str, name: str = "service.py") -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (folder / "data.txt").write_text("rice")


@pytest.mark.parametrize(
    "options",
    [
        ("project", "--production"),
        ("service:Reader", "--working-dir", "project"),
        ("service.py:Reader", "--working-dir", "project"),
    ],
)
def test_a_service_works_in_its_projects_folder(tmp_path: Path, options: tuple[str, ...]) -> None:
    write(tmp_path / "project", SERVICE)
    with served(tmp_path, *options) as url:
        assert ask(url) == "rice"
        assert not (tmp_path / "project" / "home").exists()


def test_workers_that_are_started_work_there_too(tmp_path: Path) -> None:
    text = SERVICE.replace("@bentoml.service", "@bentoml.service(workers=2)") + THREADED
    write(tmp_path / "project", text)
    with served(tmp_path, "project") as url:
        assert ask(url) == "rice"


def test_a_package_is_a_target(tmp_path: Path) -> None:
    write(tmp_path, SERVICE, "pkg/__init__.py")
    with served(tmp_path, "pkg:Reader") as url:
        assert ask(url) == "rice"


def test_a_bento_of_bentoml_is_a_target(tmp_path: Path) -> None:
    write(tmp_path / "bento" / "src", SERVICE)
    bento = "service: service:Reader\nname: reader\nversion: v1\nargs: {end: '!'}\nenvs: []\n"
    (tmp_path / "bento" / "bento.yaml").write_text(bento)
    with served(tmp_path, "bento") as url:
        assert ask(url) == "rice!"
    (tmp_path / "bento" / "bento.yaml").write_text("name: reader\n")
    done = subprocess.run(
        [sys.executable, "-m", "bentofn", "serve", "bento"],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert "names no service" in done.stderr


def test_one_process_for_development(tmp_path: Path) -> None:
    write(tmp_path, SERVICES)
    for options, processes in (((), 2), (("--development",), 1)):
        with served(tmp_path, ".", *options) as url:
            assert len(set(ask(url).split())) == processes


def test_a_change_starts_it_again(tmp_path: Path) -> None:
    write(tmp_path, SERVICE)
    with socket.create_server(("127.0.0.1", 0)) as spare:
        port = str(spare.getsockname()[1])
    with served(tmp_path, ".", "--port", port, "--reload", stop=signal.SIGINT) as url:
        assert ask(url) == "rice"
        write(tmp_path, SERVICE.replace("return DATA", "return 'more ' + DATA"))
        deadline = time.monotonic() + 60
        answer = "rice"
        while answer == "rice" and time.monotonic() < deadline:
            try:
                answer = ask(url)
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.05)
        assert answer == "more rice"


@pytest.mark.parametrize("command", [("build", "--push"), ("serve", "--env", "conda")])
def test_an_option_of_bentomls_says_what_to_do(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bentofn", *command], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: bentofn {command[0]} has no {command[1]}: ")
    assert done.stderr.count("\n") == 1
