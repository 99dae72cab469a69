"""A Modal of our own on loopback, and a small function."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from modal_cloud import Cloud

from bentofn.adapters.modal.adapter import ModalAdapter
from bentofn.packager.build import build
from bentofn.packager.build_inputs import BuildOptions
from bentofn.packager.home import Home

SERVICE = '''\
import os

import bentofn

STARTED = []


@bentofn.service(name="greeter")
class Greeter:
    def __init__(self):
        self.seen = ["construct"]

    @bentofn.after_restore
    def renewed(self):
        self.seen.append("after_restore")

    @bentofn.on_startup
    def started(self):
        self.seen.append("startup")

    @bentofn.api(examples=[{"name": "you"}])
    def greet(self, name: str = "nobody") -> str:
        print("greeting", name, flush=True)
        return f"Hello, {name}!"

    @bentofn.api
    def told(self) -> dict:
        return {"seen": self.seen, "secret": os.environ.get("SECRET", "")}
'''


@pytest.fixture(scope="session")
def modal_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with ``greeter:1`` in it, and ``greeter:2`` of other code."""
    folder = tmp_path_factory.mktemp("modal")
    home = Home(folder / "home")
    for version, word in (("1", "Hello"), ("2", "Good day")):
        project = folder / version
        project.mkdir()
        (project / "service.py").write_text(SERVICE.replace("Hello", word))
        (project / "bentofile.yaml").write_text("service: service:Greeter\n")
        build(project, home, BuildOptions(version=version), lambda _: None)
    return home


@pytest.fixture
def adapter(modal_home: Home, cloud: Cloud) -> ModalAdapter:
    """The adapter, on that home and that workspace."""
    return ModalAdapter(modal_home)


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An empty workspace, that Modal's client of this process comes to."""
    from modal.client import _Client

    with Cloud(tmp_path / "containers") as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MODAL_CONFIG_PATH", str(tmp_path / "none.toml"))
        monkeypatch.setattr(_Client, "_client_from_env", None)
        yield running
