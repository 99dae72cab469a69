"""Small projects, built and deployed on a platform of their own."""

from __future__ import annotations

import http.client
import json
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from instances import PATIENCE, eventually

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec, FunctionStatus
from bentofn.packager.build import BuildOptions, BuildResult, build
from bentofn.packager.home import Home


@dataclass(frozen=True)
class Platform:
    """A home with a platform.

    Args:
        home: The home.
        adapter: Deploys in it.
        folder: For projects.
    """

    home: Home
    adapter: LocalAdapter
    folder: Path

    def build(self, name: str, files: Mapping[str, str]) -> BuildResult:
        """Build a project of which ``service.py`` declares the class ``Service``."""
        project = self.folder / name
        project.mkdir(exist_ok=True)
        for path, text in files.items():
            (project / path).write_text(textwrap.dedent(text))
        (project / "bentofile.yaml").write_text(f"service: service:Service\nname: {name}\n")
        return build(project, self.home, BuildOptions(), lambda _: None)

    def deploy(self, tag: str, name: str, **settings: Any) -> FunctionStatus:
        """Deploy a bento."""
        chosen = FunctionSettings(cpu=1, **settings)
        self.adapter.apply(FunctionSpec(name, tag, chosen), lambda _: None)
        return self.status(name)

    def status(self, name: str) -> FunctionStatus:
        """What a function is doing."""
        (found,) = self.adapter.status(name)
        return found

    def call(self, path: str, **body: object) -> tuple[Any, str]:
        """What a function answers, and how its instance was started."""
        endpoint = daemon.status(self.home)
        assert endpoint is not None
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body), headers)
            response = connection.getresponse()
            answer = response.read()
            assert response.status == 200, answer
            return json.loads(answer), response.headers["X-Bentofn-Start"]
        finally:
            connection.close()

    def settled(self, name: str) -> FunctionStatus:
        """What a function is doing when it is known how its next instance starts."""
        return eventually(
            lambda: ((found := self.status(name)).snapshot != "preparing" and found) or None
        )

    def wait_for_zero(self, name: str) -> None:
        """Wait until a function has no instance."""
        eventually(lambda: not self.status(name).instances)

    def snapshots(self) -> list[Path]:
        """All that stands in the home's directory of snapshots."""
        return sorted(self.home.snapshots.iterdir())

    def wait_until(self, check: Callable[[], object]) -> None:
        """Wait until something is so."""
        eventually(lambda: check() or None)

    def wait_for(self, name: str, words: str) -> None:
        """Wait until a function's log says something."""
        eventually(lambda: words in self.log(name))

    def log(self, name: str) -> str:
        """All that a function's log says."""
        return "\n".join(line.line for line in self.adapter.logs(name))


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """A platform; stopped at the end."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        yield Platform(home, LocalAdapter(home, port=0), Path(folder))
        daemon.stop(home)
