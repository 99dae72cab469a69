"""A Modal of our own on loopback, and small functions to deploy to it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from modal_cloud import Cloud
from safetensors.numpy import save_file

from bentofn.adapters.modal.adapter import ModalAdapter
from bentofn.adapters.protocol import Deployed, FunctionSettings, FunctionSpec
from bentofn.packager.build import build
from bentofn.packager.build_inputs import BuildOptions
from bentofn.packager.home import Home
from bentofn.packager.modelsources.importing import import_source
from bentofn.packager.roots.materialise import materialise
from bentofn.packager.store import Store

GREETER = """\
import os
import random
import sys
import types

import bentofn

DICE = random.Random(7)


class Joined:
    # Stands for torch, with a communicator of NCCL

    yes = types.SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True)
    cuda = distributed = yes


@bentofn.service(name="greeter")
class Greeter:
    def __init__(self):
        if os.environ.get("FAIL"):
            raise ValueError("no such model")
        if os.environ.get("NCCL"):
            sys.modules["torch"] = Joined
        self.seen = ["construct"]

    @bentofn.after_restore
    def renewed(self):
        if os.environ.get("FAIL_LATER"):
            raise ValueError("no such database")
        self.seen.append("after_restore")

    @bentofn.on_startup
    def started(self):
        self.seen.append("startup")

    @bentofn.on_shutdown
    def ended(self):
        print("shutdown", flush=True)

    @bentofn.api(examples=[{"name": "you"}])
    def greet(self, name: str = "nobody") -> str:
        print("greeting", name, flush=True)
        return f"Hello, {name}!"

    @bentofn.api
    def told(self) -> dict:
        return {"seen": self.seen, "secret": os.environ.get("SECRET", "")}

    @bentofn.api
    def throw(self) -> float:
        return DICE.random()

    @bentofn.api
    async def count(self, to: int):
        for number in range(to):
            yield f"{number} "
        print("counted", to, flush=True)
"""

ADDER = """\
import bentofn
from safetensors.numpy import load_file


@bentofn.service(name="adder")
class Adder:
    model = bentofn.models.BentoModel("offset:1")

    def __init__(self):
        self.offset = int(load_file(f"{self.model.path}/model.safetensors")["offset"][0])
        self.sizes = []

    @bentofn.api(batchable=True, max_batch_size=8)
    def add(self, numbers: list[int]) -> list[int]:
        self.sizes.append(len(numbers))
        print("batch of", len(numbers), flush=True)
        return [number + self.offset for number in numbers]
"""

PAIR = """\
import bentofn


@bentofn.service
class Words:
    def __init__(self):
        self.seen = ["construct"]

    @bentofn.after_restore
    def renewed(self):
        self.seen.append("after_restore")

    @bentofn.on_startup
    def started(self):
        self.seen.append("startup")

    @bentofn.on_shutdown
    def ended(self):
        print("words shut down", flush=True)

    @bentofn.api
    def split(self, text: str) -> list[str]:
        return text.split()

    @bentofn.api
    def told(self) -> list[str]:
        return self.seen


@bentofn.service(name="pair")
class Pair:
    words = bentofn.depends(Words)

    @bentofn.api
    async def count(self, text: str) -> int:
        return len(await self.words.to_async.split(text))

    @bentofn.api
    def told(self) -> dict:
        with open("/opt/bento/src/made.txt") as file:
            return {"seen": self.words.told(), "made": file.read()}
"""
"""Two services, and what a script puts beside them."""

SETUP = """\
#!/bin/sh
set -e
cd /opt/bento/src
test -f service.py
echo "by $WHO" > made.txt
"""

Spec = Callable[..., FunctionSpec]
Apply = Callable[..., Deployed]


@pytest.fixture(scope="session")
def modal_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with ``greeter:1``, ``greeter:2`` of other code, ``adder:1`` with a model, and
    ``pair:1`` of two services and a setup script."""
    folder = tmp_path_factory.mktemp("modal")
    home = Home(folder / "home")
    weights = folder / "weights"
    weights.mkdir()
    save_file({"offset": np.array([40])}, weights / "model.safetensors")
    import_source(Store(home), str(weights), "offset", "1")
    sources = {
        "greeter:1": GREETER,
        "greeter:2": GREETER.replace("Hello", "Good day"),
        "adder:1": ADDER,
        "pair:1": PAIR,
    }
    for tag, source in sources.items():
        name, version = tag.split(":")
        project = folder / f"{name}-{version}"
        project.mkdir()
        (project / "service.py").write_text(source)
        packages = "[safetensors, numpy]" if name == "adder" else "[]"
        options = f"service: service:{name.title()}\npython:\n  packages: {packages}\n"
        if name == "pair":
            (project / "setup.sh").write_text(SETUP)
            options += "docker: {setup_script: setup.sh}\nenvs: [{name: WHO, value: the script}]\n"
        (project / "bentofile.yaml").write_text(options)
        build(project, home, BuildOptions(version=version), lambda _: None)
    return home


@pytest.fixture(scope="session")
def sparse_home(modal_home: Home) -> Home:
    """The same bentos with few of their files: enough to be sent, and soon sent."""
    home = Home(modal_home.path.with_name("sparse"))
    for tag in ("greeter:1", "greeter:2", "adder:1"):
        materialise(modal_home, Store(modal_home).get("bento", tag))
    shutil.copytree(modal_home.path, home.path, symlinks=True, copy_function=os.link)
    kept = {"starlette/__init__.py", "bentofn/__init__.py"}
    trees = [tree for tree in home.unpacked.iterdir() if tree.name.startswith(("env", "runtime"))]
    for file in (file for tree in trees for file in tree.rglob("*") if file.is_file()):
        if "/".join(file.parts[-2:]) not in kept:
            file.unlink()
    return home


@pytest.fixture(scope="session")
def sent_before() -> dict[str, bytes]:
    """Content that Modal has already, whoever sent it; kept from test to test."""
    return {}


@pytest.fixture
def cloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent_before: dict[str, bytes]
) -> Iterator[Cloud]:
    """A workspace with nothing in it, that Modal's client of this process comes to."""
    from modal.client import _Client

    with Cloud(tmp_path / "containers") as running:
        running.state.content = sent_before
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MODAL_CONFIG_PATH", str(tmp_path / "none.toml"))
        monkeypatch.setattr(_Client, "_client_from_env", None)
        yield running
        print(*(line for *_, line in running.state.lines), sep="")


@pytest.fixture
def adapter(modal_home: Home, cloud: Cloud) -> ModalAdapter:
    """The adapter, on that home and that workspace."""
    return ModalAdapter(modal_home)


@pytest.fixture
def spec() -> Spec:
    """Makes the spec of a function that is called as its bento is."""

    def make(bento: str = "greeter:1", **settings: Any) -> FunctionSpec:
        return FunctionSpec(bento.partition(":")[0], bento, FunctionSettings(**settings))

    return make


@pytest.fixture
def deploy(adapter: ModalAdapter, spec: Spec) -> Apply:
    """Deploys a bento with settings."""

    def apply(bento: str = "greeter:1", **settings: Any) -> Deployed:
        return adapter.apply(spec(bento, **settings), lambda _: None)

    return apply
