"""Tasks of deployed functions and of a served project, through kills of everything."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.manifest import APIContract, BentoManifest

from .test_platform import eventually, ignore, make_root, only

SERVICE = """
import asyncio
import os
import time

import bentofn


@bentofn.service
class Echo:
    @bentofn.task
    async def wait_for(self, gate: str) -> str:
        print("begun", flush=True)
        while not os.path.exists(gate):
            await asyncio.sleep(0.01)
        return "through " + os.path.basename(gate)

    @bentofn.task
    def die(self) -> None:
        os._exit(3)

    @bentofn.task
    def spin(self, mark: str) -> None:
        try:
            open(mark, "w").close()
            while True:
                time.sleep(0.001)
        finally:
            os.unlink(mark)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_root(tmp_path_factory.mktemp("tasks") / "root", SERVICE)
    path = root / "bento.json"
    manifest = json.loads(BentoManifest.read(path).to_json())
    names = ("die", "spin", "wait_for")
    apis = [APIContract(name, f"/{name}", {}, {}, is_task=True) for name in names]
    manifest["contract"]["apis"] = [vars(api) for api in apis]
    manifest["contract"]["config"] = {"traffic": {"external_queue": True, "concurrency": 1}}
    manifest["contract"]["has_deployment_hook"] = False
    path.write_text(json.dumps(manifest))
    return root


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("BENTOFN_CRIU", "/nowhere/criu")
    with tempfile.TemporaryDirectory() as directory:
        home = Home(Path(directory) / "home")
        yield home
        daemon.stop(home)


def ask(url: str, method: str = "GET", body: Any = None) -> Any:
    """The JSON of an answer, of whatever status."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read()
    except urllib.error.HTTPError as error:
        text = error.read()
    try:
        return json.loads(text)
    except ValueError:
        return text.decode()


def submit(url: str, **arguments: Any) -> str:
    return str(ask(f"{url}/submit", "POST", arguments)["task_id"])


def ends(url: str, task: str) -> str:
    def status() -> str | None:
        found = str(ask(f"{url}/status?task_id={task}")["status"])
        return None if found == "in_progress" else found

    return str(eventually(status))


def kill_platform(home: Home) -> int:
    endpoint = daemon.status(home)
    assert endpoint is not None
    os.kill(endpoint.pid, signal.SIGKILL)
    eventually(lambda: daemon.status(home) is None)
    return endpoint.port


def test_a_deployed_functions_tasks(home: Home, root: Path, tmp_path: Path) -> None:
    adapter = LocalAdapter(home, port=0)
    settings = FunctionSettings(
        cpu=1, snapshot="template", idle_timeout=0.2, timeout=0.3, max_instances=1
    )
    url = adapter.apply(FunctionSpec("echo", str(root), settings), ignore).url
    gate = tmp_path / "gate"

    # It holds its instance longer than the idle timeout and the limit of a request.
    running = submit(f"{url}/wait_for", gate=str(gate))
    waiting = submit(f"{url}/wait_for", gate=str(gate))
    eventually(lambda: ask(f"{url}/wait_for/status?task_id={running}")["executed_at"])
    assert ask(f"{url}/wait_for/status?task_id={waiting}")["executed_at"] is None
    assert "not completed" in ask(f"{url}/wait_for/get?task_id={running}")["error"]
    eventually(lambda: only(adapter).state == "running")

    # What a killed platform had begun, or not, is done by the next.
    port = kill_platform(home)
    daemon.start(home, port)
    gate.touch()
    assert (ends(f"{url}/wait_for", running), ends(f"{url}/wait_for", waiting)) == (
        "completed",
        "completed",
    )
    assert ask(f"{url}/wait_for/get?task_id={waiting}") == "through gate"
    eventually(lambda: only(adapter).state == "zero")

    # A sync method is stopped.
    mark = tmp_path / "mark"
    spinning = submit(f"{url}/spin", mark=str(mark))
    eventually(mark.exists)
    assert ask(f"{url}/spin/cancel?task_id={spinning}", "PUT")["status"] == "canceled"
    eventually(lambda: not mark.exists())
    assert ask(f"{url}/spin/.run", "POST", {}) == "Not Found"

    adapter.destroy("echo")
    assert list(home.tasks.iterdir()) == []


def test_a_task_that_kills_its_instance_fails_in_the_end(home: Home, root: Path) -> None:
    adapter = LocalAdapter(home, port=0)
    settings = FunctionSettings(cpu=1, snapshot="template", max_instances=1)
    url = adapter.apply(FunctionSpec("echo", str(root), settings), ignore).url
    task = submit(f"{url}/die")
    assert ends(f"{url}/die", task) == "failed"
    error = ask(f"{url}/die/get?task_id={task}")["error"]
    assert "begun 3 times" in error
    assert "exited with status 3" in error


Serve = Callable[[], "tuple[subprocess.Popen[str], str]"]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    project = tmp_path / "project"
    project.mkdir()
    (project / "service.py").write_text(SERVICE)
    started: list[subprocess.Popen[str]] = []

    def run() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentofn", "serve", str(project), "--port", "0"],
            env={**os.environ, "BENTOFN_HOME": str(tmp_path / "home")},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://[\d.:]+", line):
                return process, found[0]
        raise AssertionError("it does not serve")

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_a_served_project_keeps_its_tasks(serve: Serve, tmp_path: Path) -> None:
    process, url = serve()
    gate = tmp_path / "gate"
    running = submit(f"{url}/wait_for", gate=str(gate))
    waiting = submit(f"{url}/wait_for", gate=str(gate))
    process.kill()
    process.wait()
    gate.touch()
    process, url = serve()
    assert ends(f"{url}/wait_for", running) == ends(f"{url}/wait_for", waiting) == "completed"
    assert [path.name for path in (tmp_path / "project").iterdir() if path.suffix == ".db"] == []
