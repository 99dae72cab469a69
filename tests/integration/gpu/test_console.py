"""The memory of GPUs in the console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser import assert_accessible, chromium_browser
from playwright.sync_api import Browser, expect

from bentofn.adapters.local import daemon

if TYPE_CHECKING:
    from conftest import Machine

MIB = 1 << 20


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium_browser() as found:
        yield found


def test_the_memory_of_a_gpu_is_shown_with_what_sleeps(machine: Machine, browser: Browser) -> None:
    machine.deploy("a", model=9 * MIB)
    endpoint = daemon.status(machine.home)
    assert endpoint is not None
    page = browser.new_page()
    page.goto(f"{endpoint.url}/")
    gpu, asleep = page.locator(".gpu", has_text="GPU 0"), page.locator(".gpu", has_text="Asleep")
    expect(gpu).to_contain_text("a has it for itself")
    expect(gpu.locator(".free")).to_have_css("width", "0px")
    expect(asleep.locator(".asleep")).to_have_css("width", "0px")
    machine.deploy("b", model=9 * MIB)
    for name in "abab":
        machine.call(name, x=1.0)
    expect(gpu).to_contain_text("b 9.4 MB7.3 MB free")
    expect(gpu).to_contain_text("9.4 MB of 17 MB")
    expect(asleep).to_contain_text("1 instance")
    expect(asleep).to_contain_text("9.4 MB of ")
    words = asleep.locator(".asleep")
    assert words.evaluate("words => words.scrollWidth <= words.clientWidth"), "they are cut off"
    assert_accessible(page)
