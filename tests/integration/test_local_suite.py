"""The local platform passes the suite of adapters; it is killed at each step of a deployment."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from instances import make_root

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.state import State
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home
from bentofn.runtime.manifest import APIContract, BentoManifest
from bentofn.testing import wait_until
from bentofn.testing.adapter_suite import AdapterSuite, Failing, Failure, InterruptedWorld, World

SERVICE = """
import os

import bentofn

@bentofn.service(name="Tell")
class Tell:
    @bentofn.api
    def revision(self) -> int:
        return int(os.environ["REVISION"])
"""
APIS = (APIContract("revision", "/revision", {"type": "object"}, {"type": "integer"}),)

pytestmark = pytest.mark.slow


class LocalWorld(World):
    """A home with a platform of its own. A call is a step that a deployment reports."""

    def __init__(self, home: Home, root: Path) -> None:
        self.home = home
        self._root = root
        self._fails: tuple[int, Failure, Failing] | None = None
        self._steps = 0

    def adapter(self) -> LocalAdapter:
        return LocalAdapter(self.home, port=0)

    def spec(self, revision: int) -> FunctionSpec:
        settings = FunctionSettings(environment={"REVISION": str(revision)}, snapshot="none")
        return FunctionSpec("tell", str(self._root), settings)

    def live(self) -> int | None:
        if not State(self.home).live():
            return None
        url = f"{daemon.ensure_running(self.home, 0).url}/tell/revision"
        with urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=60) as reply:
            return int(json.load(reply))

    def resources(self) -> Mapping[str, object]:
        versions = [each.version for each in State(self.home).versions("tell")]
        folders = (self.home.logs, self.home.tasks, self.home.schedules)
        files = [path.name for folder in folders if folder.is_dir() for path in folder.iterdir()]
        return {"versions": versions, "files": sorted({*files} - {"emulator.log"})}

    def writes(self) -> int:
        return len(State(self.home).versions("tell"))

    @contextlib.contextmanager
    def failing(self, call: int, failure: Failure) -> Iterator[Failing]:
        failing = Failing()
        self._steps, self._fails = 0, (call, failure, failing)
        try:
            yield failing
        finally:
            self._fails = None

    def report(self, line: str) -> None:
        if self._fails is None:
            return
        call, failure, failing = self._fails
        self._steps += 1
        if self._steps != call + 1:
            return
        failing.call = line
        if failure == "cut":
            raise InterruptedWorld(line)
        running = daemon.status(self.home)
        assert running is not None
        os.kill(running.pid, signal.SIGKILL)
        wait_until(lambda: daemon.status(self.home) is None)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An unpacked bento that tells its revision."""
    root = make_root(tmp_path_factory.mktemp("tell") / "root", SERVICE, "Tell")
    manifest = BentoManifest.read(root / "bento.json")
    contract = dataclasses.replace(manifest.contract, apis=APIS)
    (root / "bento.json").write_bytes(dataclasses.replace(manifest, contract=contract).to_json())
    return root


class TestLocal(AdapterSuite):
    """Everything that the protocol asks for."""

    @pytest.fixture
    def world(self, root: Path) -> Iterator[World]:
        folder = Path(tempfile.mkdtemp(prefix="bfn-suite-"))
        world = LocalWorld(Home(folder / "home"), root)
        yield world
        daemon.stop(world.home)
        shutil.rmtree(folder)
