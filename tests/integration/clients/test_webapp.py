"""examples/webapp as its README says: a page of one origin streams from a function of another."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from browser import assert_accessible, chromium_browser
from playwright.sync_api import Browser, Page, expect

from bentofn.adapters.local import daemon
from bentofn.packager.home import Home

REPOSITORY = Path(__file__).resolve().parents[3]
EXAMPLE = REPOSITORY / "examples" / "webapp"
GUIDE = REPOSITORY / "docs" / "web-apps.md"
POEM = "#poem"

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Site:
    """The example, deployed and served.

    Args:
        folder: Its files.
        function: The platform's port.
        page: The page's port.
        said: What the README's commands printed.
        environment: The variables that they were given.
    """

    folder: Path
    function: int
    page: int
    said: str
    environment: Mapping[str, str]

    def blocks(self, document: Path, language: str) -> list[str]:
        """A document's blocks of code, for these ports."""
        return blocks_of(document, language, self.function, self.page)

    def run(self, *command: str) -> str:
        """What a command prints in the example's folder."""
        options: Any = {"cwd": self.folder, "env": self.environment, "text": True}
        done = subprocess.run(command, capture_output=True, timeout=300, check=False, **options)
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The README's commands, done, on ports of the test's own."""
    folder = tmp_path_factory.mktemp("webapp")
    left_out = shutil.ignore_patterns("__pycache__")
    example = shutil.copytree(EXAMPLE, folder / "webapp", ignore=left_out)
    home = Home(folder / "home")
    endpoint = daemon.start(home, 0)
    page = free_port()

    index = example / "page" / "index.html"
    index.write_text(index.read_text().replace(":3600", f":{endpoint.port}"))
    blocks = blocks_of(example / "README.md", "sh", endpoint.port, page)
    (serve,) = (block for block in blocks if "http.server" in block)
    environment = {
        **os.environ,
        "BENTOFN_HOME": str(home.path),
        "PAGE_ORIGIN": f"http://localhost:{page}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    served = subprocess.Popen(["bash", "-c", f"exec {serve}"], cwd=example, env=environment)
    try:
        site = Site(example, endpoint.port, page, "", environment)
        commands = "".join(block for block in blocks if block is not serve)
        said = site.run("bash", "-euo", "pipefail", "-c", commands)
        wait_for(page)
        yield replace(site, said=said)
    finally:
        served.kill()
        served.wait()
        daemon.stop(home)


def blocks_of(document: Path, language: str, function: int, page: int) -> list[str]:
    """The blocks of code of a document, for other ports than it names."""
    found = re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.M | re.S)
    return [each.replace(":3600", f":{function}").replace("8000", str(page)) for each in found]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the page is not served")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """A browser."""
    with chromium_browser() as browser:
        yield browser


@pytest.fixture
def open_page(chromium: Browser, site: Site) -> Iterator[Callable[[str], Page]]:
    """Opens the page under a name of its host."""
    opened: list[Page] = []

    def open_page(host: str = "localhost") -> Page:
        page = chromium.new_page()
        opened.append(page)
        page.goto(f"http://{host}:{site.page}/")
        return page

    yield open_page
    for page in opened:
        page.close()


def poem_of(site: Site, about: str) -> str:
    """What the function answers without a browser."""
    code = f"import poems; print(''.join(poems.words_of({about!r}, 0)), end='')"
    return site.run(sys.executable, "-c", code)


def test_the_commands_of_the_readme_print_a_poem_and_a_client(site: Site) -> None:
    assert poem_of(site, "rain") in site.said
    assert f"Access-Control-Allow-Origin: http://localhost:{site.page}" in site.said
    assert "export class PoetClient" in (site.folder / "poet.ts").read_text()


def test_the_page_shows_the_poem_while_it_is_written(site: Site, open_page: Any) -> None:
    page = open_page()
    page.get_by_label("Write me a poem about").fill("rain")
    page.keyboard.press("Enter")
    poem = page.locator(POEM)
    expect(poem.locator("span").nth(2)).to_be_visible(timeout=30_000)
    assert poem.get_attribute("aria-busy") == "true"
    assert poem.text_content() != poem_of(site, "rain")
    expect(poem).to_have_attribute("aria-busy", "false", timeout=60_000)
    assert poem.text_content() == poem_of(site, "rain")
    # The header that tells of the start is one that CORS exposes.
    expect(page.get_by_role("status")).to_contain_text("by an instance that was")


def test_a_poem_can_be_stopped_and_another_begun(open_page: Any) -> None:
    page = open_page()
    page.get_by_role("button", name="the sea at night").click()
    poem = page.locator(POEM)
    expect(poem).to_contain_text(" ", timeout=30_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status")).to_contain_text("Stopped")
    stopped = poem.text_content()
    page.get_by_role("button", name="a borrowed bicycle").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    expect(poem).not_to_contain_text(stopped or "nothing")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Write")).to_be_visible()


def test_a_page_of_another_origin_gets_nothing(site: Site, open_page: Any) -> None:
    page = open_page("127.0.0.1")
    page.get_by_role("button", name="the sea at night").click()
    said = page.get_by_role("status")
    expect(said).to_contain_text(f"cannot be called from http://127.0.0.1:{site.page}")
    expect(page.locator(POEM)).to_be_empty()


@pytest.mark.parametrize(("host", "is_allowed"), [("localhost", True), ("127.0.0.1", False)])
def test_the_function_says_which_origins_it_allows(site: Site, host: str, is_allowed: bool) -> None:
    origin = f"http://{host}:{site.page}"
    headers = {"Origin": origin, "Content-Type": "application/json"}
    asks = {"Access-Control-Request-Method": "POST", **headers}
    for method, sent in (("OPTIONS", asks), ("POST", headers)):
        connection = http.client.HTTPConnection("127.0.0.1", site.function, timeout=30)
        connection.request(method, "/poet/write", '{"about": "a", "pace": 1000}', sent)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        allowed = answer.getheader("Access-Control-Allow-Origin")
        assert allowed == (origin if is_allowed else None)
        assert answer.getheader("Vary") == "Origin"


def test_a_page_can_read_what_the_platform_refuses(site: Site) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.function, timeout=30)
    connection.putrequest("POST", "/poet/write")
    origin = f"http://localhost:{site.page}"
    for name, value in (("Origin", origin), ("Content-Length", str(1 << 40))):
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert answer.getheader("Access-Control-Allow-Origin") == origin
    connection.close()


def test_the_examples_of_the_guide_run(site: Site, open_page: Any, compile_typescript: Any) -> None:
    (commands,) = site.blocks(GUIDE, "sh")
    (python,) = site.blocks(GUIDE, "python")
    (typescript,) = site.blocks(GUIDE, "ts")
    site.run("bash", "-euo", "pipefail", "-c", commands)
    (site.folder / "example.py").write_text(python)
    assert site.run(sys.executable, "example.py") == poem_of(site, "rain")
    (site.folder / "example.ts").write_text(typescript)
    compiled = compile_typescript(site.folder)
    assert compiled.returncode == 0, compiled.stdout
    for name in ("poet.js", "example.js"):
        shutil.copy(site.folder / name, site.folder / "page")
    script = '<!doctype html><body><script type="module" src="example.js"></script>'
    (site.folder / "page" / "typed.html").write_text(script)
    page = open_page()
    page.goto(f"http://localhost:{site.page}/typed.html")
    expect(page.locator("body")).to_have_text(poem_of(site, "rain"), timeout=60_000)


def test_what_the_function_refuses_is_shown(open_page: Any) -> None:
    page = open_page()
    about = page.get_by_label("Write me a poem about")
    about.evaluate("input => input.removeAttribute('maxlength')")
    about.fill("x" * 61)
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("1 validation error for Input")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 380])
def test_everybody_can_read_it(open_page: Any, scheme: Any, width: int) -> None:
    page = open_page()
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert_accessible(page)
    page.get_by_role("button", name="your first apartment").click()
    expect(page.locator(POEM)).to_contain_text("your first apartment", timeout=30_000)
    page.get_by_role("button", name="Stop").click()
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
