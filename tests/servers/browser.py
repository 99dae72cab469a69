"""A browser for pages of ours."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

REBOUND = "rebound.example"
"""A name of a stranger's that leads to this machine."""


@contextmanager
def chromium_browser() -> Iterator[Browser]:
    """Chromium; where there is none, the test is skipped with the reason."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"],
        )
        yield browser
        browser.close()
    gc.collect()  # its greenlets end here, not at whatever moment the collector comes by


def assert_accessible(page: Page) -> None:
    """Nothing on a page breaks a rule of the WCAG that a machine can check."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
