"""The console's addresses, metrics and request ids, on the real platform."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.daemon import Endpoint
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.packager.home import Home

EVENTS = "/_bentofn/console/events"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    platform: Endpoint, path: str, body: Any = None, method: str | None = None, **headers: str
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=60)
    data = None if body is None else json.dumps(body)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if data is not None:
        given["Content-Type"] = "application/json"
    connection.request(method or ("GET" if data is None else "POST"), path, data, given)
    response = connection.getresponse()
    found = {name.lower(): value for name, value in response.getheaders()}
    answer = Answer(response.status, found, response.read())
    connection.close()
    return answer


def messages(platform: Endpoint) -> Iterator[dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", platform.port, timeout=60)
    connection.request("GET", EVENTS)
    response = connection.getresponse()
    assert response.headers["Content-Type"] == "text/event-stream"
    try:
        while line := response.readline():
            if line.startswith(b"data: "):
                yield json.loads(line[6:])
    finally:
        connection.close()


def test_browsers_get_the_page_and_others_json(platform: Endpoint) -> None:
    page = ask(platform, "/", Accept="text/html,*/*")
    assert page.headers["content-type"].startswith("text/html")
    assert b"http://" not in page.body
    assert b"https://" not in page.body
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    listed = json.loads(ask(platform, "/", Accept="application/json").body)
    assert {each["name"] for each in listed["functions"]} == {"hello", "closed"}


def test_the_pages_files_are_revalidated_and_nothing_else_is_served(platform: Endpoint) -> None:
    first = ask(platform, "/_bentofn/console/app.js")
    assert first.headers["content-type"].startswith("text/javascript")
    again = ask(platform, "/_bentofn/console/app.js", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    for path in ("nothing.js", "../pages.py", "..%2fpages.py", "pages.py", ""):
        assert ask(platform, f"/_bentofn/console/{path}").status == 404, path


@pytest.mark.parametrize("path", ["/", EVENTS, "/_bentofn/metrics", "/_bentofn/console/logs/hello"])
def test_strangers_get_nothing(platform: Endpoint, path: str) -> None:
    html = "text/html"
    rebound = ask(platform, path, Accept=html, Host="rebound.example:3600")
    foreign = ask(platform, path, Accept=html, Origin="http://evil.example")
    embedded = ask(platform, path, Accept=html, Sec_Fetch_Site="cross-site")
    assert {rebound.status, foreign.status, embedded.status} == {403}
    assert ask(platform, path, Host="rebound.example:3600").status == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_console_changes_nothing(platform: Endpoint, method: str) -> None:
    assert ask(platform, EVENTS, method=method).status == 405


def test_a_request_keeps_its_id_from_the_caller_to_the_log(
    platform: Endpoint, home: Home, bentofn: Callable[..., Any]
) -> None:
    answer = ask(platform, "/hello/greet", {"name": "Ada"}, X_Request_Id="mine-1")
    other = ask(platform, "/hello/greet", {"name": "Grace"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-bentoml-request-id"] == "mine-1"
    assert len(other.headers["x-request-id"]) == 36

    def lines(request: str) -> list[str]:
        done = bentofn("logs", "hello", "--request", request, "--json", home=home.path)
        return [line["line"] for line in json.loads(done.stdout)]

    assert lines("mine-1") == ["greeting Ada"]
    assert lines(other.headers["x-request-id"]) == ["greeting Grace"]
    found = ask(platform, "/_bentofn/console/logs/hello?request=mine-1")
    assert [line["line"] for line in json.loads(found.body)["lines"]] == ["greeting Ada"]


def test_refusals_have_ids_too(platform: Endpoint) -> None:
    answer = ask(platform, "/closed/greet", {"name": "a"}, X_Request_Id="refused-1")
    assert (answer.status, answer.headers["x-request-id"]) == (429, "refused-1")


def test_the_stream_tells_all_and_then_what_changes(platform: Endpoint) -> None:
    stream = messages(platform)
    first = next(stream)
    assert set(first["functions"]) == {"hello", "closed"}
    hello = first["functions"]["hello"]
    assert hello["about"]["version"] == 1
    assert [track["segments"][-1][1] for track in hello["tracks"]] == ["idle"]
    answer = ask(platform, "/hello/greet", {"name": "stream"})
    told: list[dict[str, Any]] = []
    while answer.headers["x-request-id"] not in {request["id"] for request in told}:
        change = next(stream)["functions"]
        assert "closed" not in change
        told += change.get("hello", {}).get("requests", [])
    (request,) = (each for each in told if each["id"] == answer.headers["x-request-id"])
    assert (request["path"], request["status"], request["start"]) == ("/greet", 200, "warm")
    assert request["instance"] == answer.headers["x-bentofn-instance"]
    stream.close()


def test_a_function_that_is_deployed_meanwhile_is_told_whole_each_time(
    short_home: Home, root: Path
) -> None:
    adapter = LocalAdapter(short_home)
    stream = messages(daemon.start(short_home, port=0))
    assert next(stream)["functions"] == {}
    for _ in range(2):
        settings = FunctionSettings(snapshot="none", cpu=1)
        adapter.apply(FunctionSpec("late", str(root), settings), lambda _: None)
        told: dict[str, Any] = {}
        while not {"about", "tracks"} <= told.keys():
            told |= next(stream)["functions"].get("late", {})
        (track,) = told["tracks"]
        assert [state for _, state in track["segments"]][:2] == ["starting", "idle"]
        adapter.destroy("late")
        while "late" not in next(stream)["removed"]:
            pass
    stream.close()


def test_a_stream_ends_whole_when_the_platform_does(short_home: Home) -> None:
    endpoint = daemon.start(short_home, port=0)
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=60)
    connection.request("GET", "/_bentofn/console/events")
    response = connection.getresponse()
    assert response.readline() == b"retry: 1000\n"
    assert daemon.stop(short_home)
    assert response.read()  # raises IncompleteRead where the platform broke it off
    connection.close()


def test_the_form_knows_the_endpoints_without_an_instance(platform: Endpoint) -> None:
    found = json.loads(ask(platform, "/_bentofn/console/functions/closed").body)
    assert found["endpoints"][0]["route"] == "/greet"
    assert found["endpoints"][0]["examples"] == [{"name": "world"}]
    assert ask(platform, "/_bentofn/console/functions/nobody").status == 404


def test_metrics_count_requests_and_instances(platform: Endpoint) -> None:
    def value(name: str, **labels: str) -> float:
        text = ask(platform, "/_bentofn/metrics").body.decode()
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    before = value("bentofn_requests_total", function="hello", status="200")
    ask(platform, "/hello/greet", {"name": "metrics"})
    ask(platform, "/closed/greet", {"name": "metrics"})
    assert value("bentofn_requests_total", function="hello", status="200") == before + 1
    assert value("bentofn_refused_requests_total", function="closed", status="429") >= 1
    assert value("bentofn_instances", function="hello") == 1
    assert value("bentofn_start_seconds_count", function="hello", kind="cold") >= 1
    assert value("bentofn_request_seconds_count", function="hello") > before


def test_the_pages_files_are_in_the_wheel(wheel: Path) -> None:
    import zipfile

    static = Path(__file__).resolve().parents[3] / "adapters/local/console/static"
    with zipfile.ZipFile(wheel) as archive:
        packed = {name.rpartition("/")[2] for name in archive.namelist() if "/static/" in name}
    assert packed == {file.name for file in static.iterdir()}
