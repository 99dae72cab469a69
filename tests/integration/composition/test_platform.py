"""A bento of several services on the local platform: each has instances of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec, FunctionStatus
from bentofn.runtime.proxy import wire

TEXTS = {"texts": ["Great soup but slow", "best best", "awful"]}
MOODS = {"moods": [0.0, 1.0, -1.0]}


def test_each_service_scales_starts_and_dies_by_itself(adapter: LocalAdapter, root: Path) -> None:
    steps: list[str] = []
    deployed = adapter.apply(spec(root, idle_timeout=2.0), steps.append)
    assert "Preparing fast starts of Words" in steps
    assert deployed.snapshot == "template", deployed.note
    assert ask(deployed.url) == MOODS
    assert httpx.post(f"{deployed.url}/explain", json={"text": "fresh"}).text == "fresh is good\n"
    refused = httpx.post(f"{deployed.url}/common", json={"text": " "})
    assert (refused.status_code, refused.json()) == (400, [{"error": "The text is empty."}])

    found = only(adapter)
    assert {each.service for each in found.instances} == {"", "Words", "Mood"}
    for each in found.instances:
        assert each.pid is not None
        os.kill(each.pid, signal.SIGKILL)
        assert ask(deployed.url) == MOODS

    eventually(lambda: only(adapter).state == "zero")
    assert ask(deployed.url) == MOODS
    starts = {each.service: each.start for each in only(adapter).instances}
    assert starts == {"": "restored", "Words": "restored", "Mood": "restored"}


def test_a_new_version_has_services_of_its_own_and_a_platform_takes_them_up(
    adapter: LocalAdapter, root: Path
) -> None:
    adapter.apply(spec(root, snapshot="none"), ignore)
    deployed = adapter.apply(spec(root, snapshot="none", environment={"A": "1"}), ignore)
    assert deployed.version == 2
    assert ask(deployed.url) == MOODS
    ids = {each.id.split("-")[0] for each in eventually(lambda: only(adapter).instances)}
    assert "v2" in ids
    place = service_place(adapter)
    assert place.is_dir()
    daemon.stop(adapter._home)
    assert not place.exists()
    endpoint = daemon.ensure_running(adapter._home, 0)
    assert ask(f"{endpoint.url}/reviews") == MOODS


def test_only_the_bento_reaches_its_services(adapter: LocalAdapter, root: Path) -> None:
    deployed = adapter.apply(spec(root, snapshot="none"), ignore)
    outside = deployed.url.rpartition("/")[0]
    assert httpx.post(f"{outside}/reviews.Words/split", json={"text": "a"}).status_code == 404

    message = b"".join(wire.pack({"text": "a"}))
    headers = {"content-type": wire.MEDIA_TYPE, "x-bentofn-sibling": "guessed"}
    answer = httpx.post(f"{deployed.url}/review", content=message, headers=headers)
    assert answer.status_code == 415

    for path in service_sockets(adapter):
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
            answer = client.post("http://x/split", content=message, headers=headers)
            assert answer.status_code == 403


def spec(root: Path, **settings: Any) -> FunctionSpec:
    return FunctionSpec("reviews", str(root), FunctionSettings(**settings))


def ignore(_: str) -> None:
    """Take no interest in progress."""


def ask(url: str) -> Any:
    return httpx.post(f"{url}/review", json=TEXTS, timeout=60).json()


def only(adapter: LocalAdapter) -> FunctionStatus:
    (found,) = adapter.status("reviews")
    return found


def eventually(check: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)
    return found


def service_place(adapter: LocalAdapter) -> Path:
    """The directory of the services' sockets."""
    place = daemon._socket_directory(adapter._home)
    return place.with_name(f"{place.name}-services")


def service_sockets(adapter: LocalAdapter) -> list[Path]:
    """The sockets of the services, which only this user can reach."""
    visible = service_place(adapter)
    assert visible.stat().st_mode & 0o077 == 0
    found = [path for path in visible.glob("*/*.sock") if path.is_socket()]
    assert len(found) == 2
    return found
