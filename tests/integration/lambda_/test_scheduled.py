"""Schedules of functions that are deployed as Lambda's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.client import Client
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.schedule import Schedule
from bentofn.packager.home import Home

from .test_api import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(Home(tmp_path / "home"), tmp_path)
    yield running
    daemon.stop(running.home)


def test_a_schedule_invokes_a_function_and_lambda_retries_it(
    running: Running, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    schedules = (
        Schedule("retried", "rate(1 day)", input=json.dumps({"word": f"once {gate}"})),
        Schedule("wrong", "cron(0 0 1 1 ? *)", enabled=False),
    )
    settings = FunctionSettings(profile="lambda", timeout=20.0, memory=512, schedules=schedules)
    adapter = LocalAdapter(running.home)
    deployed = adapter.apply(
        FunctionSpec("words", str(running.roots["one"]), settings), lambda line: None, wait=False
    )
    assert "schedule" not in deployed.note
    endpoint = daemon.status(running.home)
    assert endpoint is not None
    # It fails at first; Lambda tries it again after one minute, and the tick waits for that.
    Client(endpoint).tick(86_400 + 300.0)
    said = [line.line for line in adapter.logs("words") if "asked to say once" in line.line]
    assert len(said) == 2
    (function,) = adapter.status("words")
    assert [each.outcome for each in function.schedules] == ["delivered", ""]
