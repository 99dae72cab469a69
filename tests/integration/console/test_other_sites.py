"""A page of another site in the user's browser: it learns and changes nothing."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from browser import REBOUND
from playwright.sync_api import Browser, Page

from bentofn.adapters.local.daemon import Endpoint

ATTACK = """
async (base) => {
  const fetched = async (path, options) => {
    try {
      const answer = await fetch(base + path, options);
      return await answer.text();
    } catch { return ""; }
  };
  const told = [
    await fetched("/"),
    await fetched("/_bentofn/metrics"),
    await fetched("/_bentofn/console/logs/hello"),
    await fetched("/_bentofn/console/functions/hello", { mode: "no-cors" }),
    await fetched("/2015-03-31/functions", { mode: "no-cors" }),
    await fetched("/2015-03-31/functions/hello/invocations",
      { method: "POST", mode: "no-cors", body: "{}" }),
    await fetched("/2017-10-31/functions/hello/concurrency", { method: "DELETE" }),
    await fetched("/_bentofn/functions/hello", { method: "DELETE" }),
    await fetched("/_bentofn/tick", { method: "POST", mode: "no-cors", body: '{"seconds": 60}' }),
  ];
  told.push(await new Promise((resolve) => {
    const stream = new EventSource(base + "/_bentofn/console/events");
    stream.onmessage = ({ data }) => resolve(data);
    stream.onerror = () => { stream.close(); resolve(""); };
  }));
  const frame = Object.assign(document.createElement("iframe"), { name: "frame" });
  document.body.append(frame);
  const form = document.createElement("form");
  Object.assign(form, { method: "post", enctype: "text/plain", target: "frame" });
  form.action = base + "/2015-03-31/functions/hello/aliases";
  form.append(Object.assign(document.createElement("input"), { name: '{"Name": "', value: '"}' }));
  document.body.append(form);
  await new Promise((resolve) => { frame.onload = resolve; form.submit(); });
  return told;
}
"""


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another site</title><body></body>")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    """Another site, on another port of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def foreign(chromium: Browser, site: str) -> Iterator[Page]:
    """Its page."""
    page = chromium.new_page()
    page.goto(site)
    yield page
    page.close()


def test_a_page_of_another_site_learns_and_changes_nothing(
    foreign: Page, platform: Endpoint
) -> None:
    answers: list[tuple[str, str, int]] = []
    foreign.on("response", lambda a: answers.append((a.request.method, a.url, a.status)))
    told = foreign.evaluate(ATTACK, platform.url)
    assert told == [""] * 10
    asked = [answer for answer in answers if answer[1].startswith(platform.url)]
    assert {status for _, _, status in asked} <= {401, 403}, asked
    # What needs no leave of the platform's is sent; all else fails in the browser.
    assert sorted(url.rpartition("/")[2] for method, url, _ in asked if method == "POST") == [
        "aliases",
        "invocations",
        "tick",
    ]
    with urllib.request.urlopen(platform.url) as still:
        assert "hello" in [each["name"] for each in json.load(still)["functions"]]


def test_a_name_that_was_made_to_lead_here_learns_and_changes_nothing(
    chromium: Browser, platform: Endpoint
) -> None:
    page = chromium.new_page()
    base = f"http://{REBOUND}:{platform.port}"
    page.goto(f"{base}/hello/docs.json")  # a page of the same origin
    statuses: list[tuple[str, int]] = []
    page.on("response", lambda answer: statuses.append((answer.url, answer.status)))
    told = page.evaluate(ATTACK, base)
    page.close()
    assert len(statuses) == len(told) + 1
    assert {status for _, status in statuses} <= {401, 403}, statuses
    assert not any("hello" in text or "bentofn_function" in text for text in told)
