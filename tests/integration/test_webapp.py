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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from browser import assert_accessible, chromium_browser
from playwright.sync_api import Browser, Page, expect

from bentofn.adapters.local import daemon
from bentofn.packager.home import Home

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "webapp"
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
    """

    folder: Path
    function: int
    page: int
    said: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The README's commands, done, on ports of the test's own."""
    folder = tmp_path_factory.mktemp("webapp")
    left_out = shutil.ignore_patterns("__pycache__")
    example = shutil.copytree(EXAMPLE, folder / "webapp", ignore=left_out)
    home = Home(folder / "home")
    endpoint = daemon.start(home, 0)
    page = free_port()

    def moved(text: str) -> str:
        return text.replace(":3600", f":{endpoint.port}").replace("8000", str(page))

    index = example / "page" / "index.html"
    index.write_text(moved(index.read_text()))
    blocks = re.findall(r"^```sh\n(.*?)^```", (example / "README.md").read_text(), re.M | re.S)
    (serve,) = (block for block in blocks if "http.server" in block)
    commands = moved("".join(block for block in blocks if block is not serve))
    environment = {
        **os.environ,
        "BENTOFN_HOME": str(home.path),
        "PAGE_ORIGIN": f"http://localhost:{page}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    options: Any = {"cwd": example, "env": environment, "text": True, "stderr": subprocess.STDOUT}
    served = subprocess.Popen(moved(f"exec {serve}"), shell=True, stdout=subprocess.PIPE, **options)
    try:
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", commands],
            stdout=subprocess.PIPE,
            timeout=300,
            check=False,
            **options,
        )
        assert done.returncode == 0, done.stdout
        wait_for(page)
        yield Site(example, endpoint.port, page, done.stdout)
    finally:
        served.kill()
        served.communicate()
        daemon.stop(home)


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
    run = [sys.executable, "-c", code]
    return subprocess.run(run, cwd=site.folder, check=True, capture_output=True, text=True).stdout


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
    expect(page.get_by_role("status")).to_contain_text("Stopped.")
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
