"""One platform with real functions for all tests of the console, and a browser."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import chromium_browser
from instances import make_root
from playwright.sync_api import Browser, Page

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.daemon import Endpoint
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.schedule import Schedule
from bentofn.packager.home import Home
from bentofn.runtime.manifest import APIContract, BentoManifest

SERVICE = """
from collections.abc import Iterator
import time

import bentofn


@bentofn.service(name="Service")
class Service:
    @bentofn.api
    def greet(self, name: str, times: int = 1) -> str:
        print(f"greeting {name}", flush=True)
        return ", ".join([f"Hello {name}"] * times)

    @bentofn.api
    def count(self, to: int = 3) -> Iterator[str]:
        for number in range(to):
            yield f"{number} "

    @bentofn.api
    def fail(self) -> str:
        raise RuntimeError("this is meant to fail")

    @bentofn.api
    def sleep(self, seconds: float) -> str:
        time.sleep(seconds)
        return "rested"
"""


def schema(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


APIS = (
    APIContract(
        "greet",
        "/greet",
        schema(["name"], name={"type": "string"}, times={"type": "integer", "default": 1}),
        {"type": "string"},
        doc="Greets <b>somebody</b>.",
        examples=({"name": "world"},),
    ),
    APIContract(
        "count",
        "/count",
        schema([], to={"type": "integer", "default": 3}),
        {"type": "string"},
        is_stream=True,
    ),
    APIContract("fail", "/fail", schema([]), {"type": "string"}),
    APIContract(
        "sleep", "/sleep", schema(["seconds"], seconds={"type": "number"}), {"type": "string"}
    ),
)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bento's root."""
    folder = make_root(tmp_path_factory.mktemp("console") / "root", SERVICE)
    manifest = json.loads(BentoManifest.read(folder / "bento.json").to_json())
    manifest["contract"]["apis"] = [vars(api) for api in APIS]
    (folder / "bento.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="session")
def home() -> Iterator[Home]:
    """A home; its platform is stopped at the end."""
    with tempfile.TemporaryDirectory() as directory:
        found = Home(Path(directory) / "home")
        yield found
        daemon.stop(found)


@pytest.fixture
def short_home(tmp_path: Path) -> Iterator[Home]:
    """A home of a test's own; its platform is stopped at its end."""
    home = Home(tmp_path / "home")
    yield home
    daemon.stop(home)


@pytest.fixture(scope="session")
def platform(home: Home, root: Path) -> Endpoint:
    """A platform with a function ``hello`` that has an instance, and one that throttles."""
    adapter = LocalAdapter(home, port=0)
    soon = Schedule("tidy", "rate(2 hours)", api="count")
    for name, settings in (
        ("hello", FunctionSettings(snapshot="none", cpu=1, min_instances=1, schedules=(soon,))),
        ("closed", FunctionSettings(snapshot="none", cpu=1, reserved_concurrency=0)),
    ):
        adapter.apply(FunctionSpec(name, str(root), settings), lambda _: None)
    endpoint = daemon.status(home)
    assert endpoint is not None
    return endpoint


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser; where there is none, the test is skipped with the reason.

    It ends with its module: until then Playwright's event loop counts as running in this thread,
    and no asynchronous test can run.
    """
    with chromium_browser() as browser:
        yield browser


@pytest.fixture
def page(chromium: Browser, platform: Endpoint) -> Iterator[Page]:
    """The console, live; at the end nothing may have gone wrong in it."""
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.goto(platform.url)
    page.get_by_text("Live", exact=True).wait_for()
    yield page
    page.close()
    assert [line for line in wrong if "status of 5" not in line] == []
