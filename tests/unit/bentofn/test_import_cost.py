"""What declaring a service costs: nothing heavy is loaded before an application is built."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bentofn.runtime import surface

HEAVY = {
    "aiohttp",
    "asyncio",
    "boto3",
    "fastapi",
    "modal",
    "numpy",
    "pandas",
    "PIL",
    "prometheus_client",
    "pydantic",
    "pydantic_core",
    "starlette",
    "torch",
    "uvicorn",
    "uvloop",
}


def loaded(code: str) -> set[str]:
    """The modules in ``sys.modules`` after running code in a new interpreter."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(run.stdout))


def own(modules: set[str]) -> set[str]:
    return {name for name in modules if name.partition(".")[0] == "bentofn"}


def test_importing_the_package_loads_nothing_else_of_it() -> None:
    assert own(loaded("import bentofn")) == {"bentofn"}


@pytest.mark.parametrize("sdk", ["bentofn", "bentoml"])
def test_declaring_a_service_loads_only_the_declarations(sdk: str) -> None:
    modules = loaded(
        f"""
import sys
sys.path.insert(0, {surface.dropin()!r})
import {sdk}

@{sdk}.service(traffic={{"timeout": 10}})
class Service:
    model = {sdk}.models.BentoModel("m:latest")

    @{sdk}.on_startup
    def start(self): ...

    @{sdk}.api
    def ping(self, ctx: {sdk}.Context) -> str: ...
"""
    )
    assert modules & HEAVY == set()
    assert own(modules) - {"bentofn.runtime.absent"} == {
        "bentofn",
        "bentofn.models",
        "bentofn.runtime",
        "bentofn.runtime.api",
        "bentofn.runtime.bound",
        "bentofn.runtime.config",
        "bentofn.runtime.context",
        "bentofn.runtime.declare",
        "bentofn.runtime.dependency",
        "bentofn.runtime.errors",
        "bentofn.runtime.hooks",
        "bentofn.runtime.layout",
        "bentofn.runtime.manifest",
        "bentofn.runtime.members",
        "bentofn.runtime.model",
        "bentofn.runtime.models",
        "bentofn.runtime.mounts",
        "bentofn.runtime.origin",
        "bentofn.runtime.own_calls",
        "bentofn.runtime.service",
        "bentofn.runtime.surface",
        "bentofn.runtime.tags",
    }


def test_an_application_loads_no_array_library_that_its_service_does_not_use() -> None:
    modules = loaded(
        """
import bentofn

@bentofn.service
class Service:
    @bentofn.api
    def ping(self, text: str) -> str: ...

Service.to_asgi()
"""
    )
    unused = {"numpy", "torch", "pandas", "PIL", "fastapi", "boto3", "prometheus_client"}
    assert modules & unused == set()


def test_a_build_that_finds_nothing_changed_loads_nothing_that_makes_layers() -> None:
    modules = loaded("import bentofn.commands.build")
    libraries = {"cryptography", "tarfile", "yaml", "zstandard"}
    assert modules & (HEAVY | libraries) == set()
    making = {"containerize", "erofs", "layers", "lazy", "modelstore", "registry", "roots"}
    packager = (name.split(".")[2] for name in own(modules) if name.count(".") > 1)
    assert making.isdisjoint(packager)


def test_asking_what_targets_do_loads_no_sdk_of_theirs() -> None:
    modules = loaded(
        """
from pathlib import Path
from bentofn.adapters.registry import get_adapter, targets
from bentofn.packager.home import Home

for name in targets():
    assert get_adapter(name, Home(Path("nowhere"))).capabilities.target == name
"""
    )
    sdks = {"boto3", "botocore", "modal", "modal_proto", "grpclib", "google"}
    assert {name.partition(".")[0] for name in modules} & sdks == set()
