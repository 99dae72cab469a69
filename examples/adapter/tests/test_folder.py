"""The suite that every adapter passes, on a folder in which any call can be made to fail."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from bentofn_folder.adapter import FolderAdapter
from bentofn_folder.functions import Functions
from bentofn_folder.machine import Machine, refusal

from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.build import BuildOptions, build
from bentofn.packager.home import Home
from bentofn.testing.adapter_suite import AdapterSuite, Failing, Failure, InterruptedWorld, World

SERVICE = """
import os

import bentofn


@bentofn.service(name="tell")
class Tell:
    @bentofn.api
    def revision(self) -> int:
        print("asked for the revision", flush=True)
        return int(os.environ["REVISION"])
"""


class FailingMachine(Machine):
    """A folder of which one call fails."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.writes = self.calls = 0
        self.fails: tuple[int, Failure, Failing] | None = None

    def read(self, path: str) -> Any:
        return self._met(f"read {path}", super().read, path)

    def names(self, path: str) -> list[str]:
        return self._met(f"list {path}", super().names, path)

    def write(self, path: str, document: Any) -> None:
        self.writes += 1
        self._met(f"write {path}", super().write, path, document)

    def upload(self, path: str, source: Path) -> None:
        self.writes += 1
        self._met(f"upload {path}", super().upload, path, source)

    def remove(self, path: str) -> None:
        self.writes += 1
        self._met(f"remove {path}", super().remove, path)

    def _met(self, call: str, do: Any, *arguments: Any) -> Any:
        if self.fails is None:
            return do(*arguments)
        number, failure, failing = self.fails
        self.calls += 1
        if self.calls <= number:
            return do(*arguments)
        if failing.call and failure == "denied":
            return do(*arguments)
        first, failing.call = not failing.call, failing.call or call
        if failure == "denied":
            raise refusal(call, "Permission denied")
        if failure == "lost" and first:
            do(*arguments)
        raise InterruptedWorld(call)


class FolderWorld(World):
    """A folder, and the one bento that is deployed there with another variable each time."""

    failures: tuple[Failure, ...] = ("denied", "cut", "lost")

    def __init__(self, home: Home, tag: str, folder: Path) -> None:
        self.home, self._tag = home, tag
        self._machine = FailingMachine(folder)

    def adapter(self) -> FolderAdapter:
        return FolderAdapter(self.home, self._machine)

    def spec(self, revision: int) -> FunctionSpec:
        settings = FunctionSettings(environment={"REVISION": str(revision)})
        return FunctionSpec("tell", self._tag, settings)

    def live(self) -> int | None:
        functions = Functions(Machine(self._machine.folder))
        weights = functions.weights("tell")
        for version in functions.stored("tell"):
            if weights.get(version.number, 0.0) > 0.5:
                return int(version.spec.settings.environment["REVISION"])
        return None

    def resources(self) -> Mapping[str, object]:
        return dict.fromkeys(self._machine.everything())

    def writes(self) -> int:
        return self._machine.writes

    @contextlib.contextmanager
    def failing(self, call: int, failure: Failure) -> Iterator[Failing]:
        failing = Failing()
        self._machine.calls, self._machine.fails = 0, (call, failure, failing)
        try:
            yield failing
        finally:
            self._machine.fails = None


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str]:
    """A home with the bento."""
    folder = tmp_path_factory.mktemp("folder")
    (folder / "project").mkdir()
    (folder / "project" / "service.py").write_text(SERVICE)
    (folder / "project" / "bentofile.yaml").write_text("service: service:Tell\n")
    home = Home(folder / "home")
    return home, build(folder / "project", home, BuildOptions(), print).tag


class TestFolder(AdapterSuite):
    """Everything that the protocol asks for."""

    @pytest.fixture
    def world(self, built: tuple[Home, str], tmp_path: Path) -> World:
        return FolderWorld(*built, tmp_path / "functions")


def test_old_versions_are_removed_and_what_a_process_wrote_is_kept(
    built: tuple[Home, str], tmp_path: Path
) -> None:
    world = FolderWorld(*built, tmp_path / "functions")
    for revision in range(1, 14):
        world.adapter().apply(world.spec(revision), print)
    assert [each.number for each in world.adapter().versions("tell")] == list(range(4, 14))
    world.adapter().invoke("tell", b"{}", api="revision")
    assert "asked for the revision" in [each.line for each in world.adapter().logs("tell")]


def test_what_has_no_meaning_here_is_refused(built: tuple[Home, str], tmp_path: Path) -> None:
    world = FolderWorld(*built, tmp_path / "functions")
    spec = world.spec(1)
    settings = dataclasses.replace(spec.settings, gpu="L4", min_instances=1)
    plan = world.adapter().plan(dataclasses.replace(spec, settings=settings))
    assert {each.field for each in plan.problems} == {"gpu", "minInstances"}
