"""The console in a browser: what it shows, and that everybody can use it."""

from __future__ import annotations

import http.client
import json
import re
from pathlib import Path
from typing import Any

import pytest
from browser import assert_accessible
from playwright.sync_api import Browser, Locator, Page, expect

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.daemon import Endpoint
from bentofn.adapters.local.state import State
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home

TABS = ("Requests", "Invoke", "Logs", "Instances", "Schedules")


def call(platform: Endpoint, path: str, body: Any, request_id: str = "") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=60)
    headers = {"Content-Type": "application/json"}
    if request_id:
        headers["X-Request-Id"] = request_id
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def lane(page: Page, name: str) -> Locator:
    return page.locator(f'.lane[data-name="{name}"]')


def show(page: Page, name: str, tab: str) -> Locator:
    lane(page, name).get_by_role("button").click()
    page.get_by_role("tab", name=tab).click()
    return page.get_by_role("tabpanel", name=tab)


def test_functions_and_what_they_do_appear_by_themselves(page: Page, platform: Endpoint) -> None:
    chart = lane(page, "hello").get_by_role("img")
    expect(chart).to_have_attribute("aria-label", re.compile("running, 1 instance"))
    requests = show(page, "hello", "Requests")
    assert call(platform, "/hello/greet", {"name": "Ada"}, "page-request-1") == 200
    row = requests.get_by_role("row").filter(has_text="page-req")
    expect(row).to_contain_text("200")
    expect(row).to_contain_text("/greet")
    assert call(platform, "/closed/greet", {"name": "Ada"}) == 429
    throttled = page.locator("#figures > div").filter(has_text="Throttled")
    expect(throttled).to_have_class("bad")
    closed = show(page, "closed", "Requests")
    expect(closed).to_contain_text("reserved concurrency is 0")


def test_a_function_is_called_with_the_form_of_its_schema(page: Page) -> None:
    form = show(page, "hello", "Invoke")
    form.get_by_label("name").fill("Grace")
    form.get_by_label("times").fill("2")
    form.get_by_role("button", name="Send").click()
    expect(form.locator("pre")).to_have_text("Hello Grace, Hello Grace")
    expect(form).to_contain_text("200")
    form.get_by_label("Endpoint").select_option(label="POST /count")
    form.get_by_label("to").fill("4")
    form.get_by_role("button", name="Send").click()
    expect(form.locator("pre")).to_have_text("0 1 2 3 ")


def test_a_call_that_fails_says_so_and_one_that_lasts_can_be_stopped(page: Page) -> None:
    form = show(page, "hello", "Invoke")
    form.get_by_label("Endpoint").select_option(label="POST /fail")
    form.get_by_role("button", name="Send").click()
    expect(form.locator(".status")).to_have_text(re.compile("500"))
    form.get_by_label("Endpoint").select_option(label="POST /sleep")
    form.get_by_label("seconds").fill("3")
    form.get_by_role("button", name="Send").click()
    form.get_by_role("button", name="Stop").click()
    expect(form.locator(".status")).to_have_text("Stopped")


def test_a_requests_id_leads_to_what_it_wrote(page: Page, platform: Endpoint) -> None:
    call(platform, "/hello/greet", {"name": "First"}, "log-one-1")
    call(platform, "/hello/greet", {"name": "Second"}, "log-two-2")
    show(page, "hello", "Requests").get_by_role("button", name="Log of request log-one-1").click()
    lines = page.get_by_role("list", name="Log of hello")
    expect(lines).to_contain_text("greeting First")
    expect(lines).not_to_contain_text("greeting Second")
    page.get_by_role("button", name="Show all").click()
    expect(lines).to_contain_text("greeting Second")


def test_what_functions_say_is_never_markup(page: Page, platform: Endpoint) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    call(platform, "/hello/greet", {"name": hostile}, "<b>id</b>")
    requests = show(page, "hello", "Requests")
    expect(requests.get_by_role("button", name="Log of request <b>id</b>")).to_be_visible()
    expect(show_tab(page, "Logs")).to_contain_text(hostile)
    form = show_tab(page, "Invoke")
    expect(form).to_contain_text("Greets <b>somebody</b>.")
    form.get_by_label("name").fill(hostile)
    form.get_by_role("button", name="Send").click()
    expect(form.locator("pre")).to_have_text(f"Hello {hostile}")
    assert page.locator("img[src=x], #panel script, #panel b b").count() == 0


def show_tab(page: Page, tab: str) -> Locator:
    page.get_by_role("tab", name=tab).click()
    return page.get_by_role("tabpanel", name=tab)


def test_schedules_and_instances_are_listed(page: Page) -> None:
    schedule = show(page, "hello", "Schedules").get_by_role("row").filter(has_text="rate(2 hours)")
    expect(schedule).to_contain_text("tidy")
    expect(schedule).to_contain_text("enabled")
    expect(schedule).to_contain_text(re.compile(r"\d\d:\d\d"))  # when it is due next
    instances = show_tab(page, "Instances")
    expect(instances.get_by_role("row").filter(has_text="cold").first).to_contain_text("idle")


def test_everything_can_be_done_with_the_keyboard(page: Page) -> None:
    def focused() -> str:
        return str(page.evaluate("document.activeElement.textContent"))

    keys = page.keyboard
    keys.press("Tab")
    assert "Skip to the functions" in focused()
    page.locator("#search").focus()
    keys.type("hel")
    expect(lane(page, "closed")).to_be_hidden()
    keys.press("Tab")
    keys.press("Tab")
    assert focused() == "hello"
    keys.press("Enter")
    expect(page.get_by_role("heading", name="hello")).to_be_visible()
    page.get_by_role("tab", name="Requests").focus()
    keys.press("ArrowRight")
    assert focused() == "Invoke"
    expect(page.get_by_role("tabpanel", name="Invoke")).to_be_visible()
    page.get_by_label("name", exact=False).last.focus()
    keys.press("ControlOrMeta+a")
    keys.type("Keys")
    keys.press("Enter")
    expect(page.locator(".answer pre")).to_have_text("Hello Keys")
    page.get_by_role("tab", name="Invoke").focus()
    keys.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    assert focused() == "hello"


def test_arrow_keys_go_through_the_functions(page: Page) -> None:
    first = page.locator(".lane-name").first
    first.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".lane-name").nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(first).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_everybody_can_read_it(page: Page, scheme: Any, width: int, platform: Endpoint) -> None:
    call(platform, "/hello/greet", {"name": "a"})
    call(platform, "/closed/greet", {"name": "a"})
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert_accessible(page)
    show(page, "hello", "Requests")
    for tab in TABS:
        show_tab(page, tab)
        assert_accessible(page)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, "it must be scrolled sideways"


def test_a_choice_of_colours_is_kept(page: Page) -> None:
    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    page.emulate_media(color_scheme="light")
    light = background()
    page.get_by_label("Theme").select_option("dark")
    dark = background()
    assert dark != light
    page.reload()
    assert background() == dark


def test_it_stands_still_while_paused(page: Page, platform: Endpoint) -> None:
    requests = lane(page, "hello").locator("dd").first
    before = requests.text_content() or ""
    page.get_by_role("button", name="Pause").click()
    with page.expect_response(lambda response: "console/functions" in response.url):
        call(platform, "/hello/greet", {"name": "a"})
        show(page, "hello", "Invoke")
    expect(requests).to_have_text(before)
    page.get_by_role("button", name="Pause").click()
    expect(requests).not_to_have_text(before)


def test_a_link_opens_a_function(chromium: Browser, platform: Endpoint) -> None:
    page = chromium.new_page()
    page.goto(f"{platform.url}/#/hello/logs")
    expect(page.get_by_role("tab", name="Logs")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("list", name="Log of hello")).to_be_visible()
    page.close()


def test_it_finds_a_platform_again_that_was_started_anew(
    chromium: Browser, root: Path, short_home: Home
) -> None:
    adapter = LocalAdapter(short_home, port=0)
    settings = FunctionSettings(snapshot="none", cpu=1)
    adapter.apply(FunctionSpec("first", str(root), settings), lambda _: None)
    endpoint = daemon.status(short_home)
    assert endpoint is not None
    page = chromium.new_page()
    page.goto(endpoint.url)
    expect(lane(page, "first")).to_be_visible()
    daemon.stop(short_home)
    expect(page.get_by_text("does not answer")).to_be_visible()
    daemon.start(short_home)
    adapter.apply(FunctionSpec("second", str(root), settings), lambda _: None)
    expect(lane(page, "second")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    adapter.destroy("first")
    expect(lane(page, "first")).to_have_count(0)
    page.close()


def test_a_thousand_functions_and_many_events_do_not_hold_it_up(
    chromium: Browser, root: Path, short_home: Home
) -> None:
    state = State(short_home)
    settings = FunctionSettings(snapshot="none", cpu=1)
    for number in range(1000):
        state.add(FunctionSpec(f"function-{number:03}", str(root), settings), "sha256:none")
    daemon.start(short_home, port=0)
    endpoint = daemon.status(short_home)
    assert endpoint is not None
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.goto(endpoint.url)
    expect(page.locator(".lane")).to_have_count(1000, timeout=30_000)
    for _ in range(100):  # four or five events each
        assert call(endpoint, "/function-500/greet", {"name": "a"}) == 200
    expect(lane(page, "function-500").locator("dd").first).to_have_text("100")
    expect(page.locator(".lane").first).to_have_attribute("data-name", "function-500")
    page.get_by_role("searchbox").fill("999")
    expect(lane(page, "function-000")).to_be_hidden()
    lane(page, "function-999").get_by_role("button").click()
    expect(page.get_by_role("heading", name="function-999")).to_be_visible()
    page.close()
