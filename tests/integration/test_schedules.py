"""Schedules on a platform whose time stands still until the test moves it."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local import daemon
from bentofn.adapters.local.adapter import LocalAdapter
from bentofn.adapters.local.client import Client
from bentofn.adapters.protocol import FunctionSettings, FunctionSpec
from bentofn.adapters.schedule import Schedule, ScheduleStatus
from bentofn.packager.home import Home
from bentofn.runtime.manifest import APIContract, BentoManifest

from .conftest import Bentofn
from .test_platform import eventually, ignore, make_root, only

SERVICE = """
import os

import bentofn
from bentofn.exceptions import ServiceUnavailable


@bentofn.service
class Diary:
    @bentofn.api
    def note(self, file: str, text: str = "") -> None:
        with open(file, "a") as opened:
            opened.write(text + os.linesep)

    @bentofn.api
    def fail(self, file: str, times: int) -> None:
        with open(file, "a+") as opened:
            opened.write(".")
            opened.seek(0)
            if len(opened.read()) <= times:
                raise ServiceUnavailable("not yet")

    @bentofn.task
    def later(self, file: str) -> None:
        open(file, "x").close()
"""

HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_root(tmp_path_factory.mktemp("schedules") / "root", SERVICE, "diary")
    path = root / "bento.json"
    manifest = json.loads(BentoManifest.read(path).to_json())
    apis = [
        APIContract(name, f"/{name}", {}, {}, is_task=name == "later")
        for name in ("fail", "later", "note")
    ]
    manifest["contract"]["apis"] = [vars(api) for api in apis]
    manifest["contract"]["import_string"] = "service:Diary"
    manifest["contract"]["has_deployment_hook"] = False
    path.write_text(json.dumps(manifest))
    return root


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    monkeypatch.setenv("BENTOFN_CRIU", "/nowhere/criu")
    with tempfile.TemporaryDirectory() as directory:
        home = Home(Path(directory) / "home")
        yield home
        daemon.stop(home)


class Deployed:
    """A function on a platform whose time stands still."""

    def __init__(self, home: Home, root: Path) -> None:
        self.home = home
        self.root = root
        daemon.start(home, 0, speed=0.0)
        self.adapter = LocalAdapter(home)

    @property
    def client(self) -> Client:
        endpoint = daemon.status(self.home)
        assert endpoint is not None
        return Client(endpoint)

    def deploy(self, *schedules: Schedule) -> str:
        settings = FunctionSettings(
            cpu=1, snapshot="template", schedules=schedules, idle_timeout=60.0
        )
        return self.adapter.apply(FunctionSpec("echo", str(self.root), settings), ignore).note

    def tick(self, seconds: float) -> float:
        return self.client.tick(seconds)

    def schedule(self) -> ScheduleStatus:
        (found,) = only(self.adapter).schedules
        return found


@pytest.fixture
def deployed(home: Home, root: Path) -> Deployed:
    return Deployed(home, root)


def note(file: Path, **more: Any) -> Schedule:
    body = {"file": str(file), "text": "<aws.scheduler.scheduled-time>"}
    given: dict[str, Any] = {
        "method": "scheduler",
        "api": "note",
        "input": json.dumps(body),
        **more,
    }
    return Schedule("told", given.pop("expression", "cron(0 * * * ? *)"), **given)


def test_a_week_passes_in_a_moment(deployed: Deployed, tmp_path: Path) -> None:
    file = tmp_path / "notes"
    assert deployed.deploy(note(file, expression="cron(0 0/3 * * ? *)")) == ""
    began = deployed.tick(0.0)
    now = deployed.tick(7 * DAY)
    assert now == pytest.approx(began + 7 * DAY)
    expected = [(began // (3 * HOUR) + n) * 3 * HOUR for n in range(1, 57)]
    moments = [datetime.fromtimestamp(each, timezone.utc) for each in expected]
    assert file.read_text().split() == [f"{each:%Y-%m-%dT%H:%M:%SZ}" for each in moments]
    status = only(deployed.adapter)
    # Each call found no instance: the minute without requests had passed.
    assert (status.requests, status.starts["restored"]) == (56, 57)
    assert deployed.schedule() == ScheduleStatus(
        "told", "cron(0 0/3 * * ? *)", "UTC", "enabled", expected[-1] + 3 * HOUR,
        pytest.approx(expected[-1], abs=1), "delivered",
    )  # fmt: skip


def test_what_fails_is_tried_again_and_given_up_in_the_end(
    deployed: Deployed, tmp_path: Path
) -> None:
    file = tmp_path / "tries"
    body = json.dumps({"file": str(file), "times": 3})
    deployed.deploy(note(file, api="fail", input=body, expression="rate(1 day)"))
    deployed.tick(60.0)
    assert file.read_text() == "...."  # after 0, 1, 3 and 7 seconds
    assert deployed.schedule().outcome == "delivered"

    file.unlink()
    deployed.deploy(note(file, api="fail", input=body, expression="rate(2 days)", retries=2))
    deployed.tick(HOUR)
    assert file.read_text() == "..."
    assert "tried 3 times: it answered 503" in deployed.schedule().outcome
    lines = [line.line for line in deployed.adapter.logs("echo") if line.instance == "schedule"]
    assert "attempt 3 given up" in lines[-1]


def test_what_would_fail_again_is_not_tried_again(deployed: Deployed, tmp_path: Path) -> None:
    deployed.deploy(note(tmp_path / "tries", input="{}", expression="rate(1 day)"))
    deployed.tick(HOUR)
    assert only(deployed.adapter).requests == 1
    assert deployed.schedule().outcome.startswith("it answered 400: ")


@pytest.mark.parametrize("running", [True, False])
def test_a_function_that_was_removed_leaves_nothing_to_make_up_for(
    deployed: Deployed, tmp_path: Path, running: bool
) -> None:
    file = tmp_path / "notes"
    deployed.deploy(note(file))
    remembered = deployed.home.schedules / "echo.json"
    eventually(remembered.exists)
    if not running:
        daemon.stop(deployed.home)
    deployed.adapter.destroy("echo")
    assert not remembered.exists()


def test_a_restarted_platform_makes_up_for_what_it_missed(
    deployed: Deployed, tmp_path: Path
) -> None:
    file = tmp_path / "notes"
    deployed.deploy(note(file, expression="rate(1 hour)"))
    began = deployed.tick(1.5 * HOUR)
    assert len(file.read_text().split()) == 2
    daemon.stop(deployed.home)
    # Its time begins with the machine's, one and a half hours earlier: nothing was missed.
    daemon.start(deployed.home, speed=0.0)
    eventually(lambda: deployed.schedule().next)
    assert deployed.tick(0.0) < began
    deployed.tick(HOUR)
    assert len(file.read_text().split()) == 3

    # As if it had been stopped three hours ago.
    daemon.stop(deployed.home)
    path = deployed.home.schedules / "echo.json"
    remembered = json.loads(path.read_text())
    remembered["told"]["last"] -= 4 * HOUR
    remembered["told"]["anchor"] -= 4 * HOUR
    path.write_text(json.dumps(remembered))
    file.unlink()
    daemon.start(deployed.home, speed=0.0)
    eventually(lambda: file.exists() and len(file.read_text().split()) >= 3)


def test_a_task_is_submitted_and_a_changed_schedule_takes_the_place_of_the_former(
    deployed: Deployed, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    deployed.deploy(
        note(mark, api="later", input=json.dumps({"file": str(mark)}), expression="rate(1 day)")
    )
    deployed.tick(1.0)
    eventually(mark.exists)
    file = tmp_path / "notes"
    deployed.deploy(dataclasses.replace(note(file), enabled=False))
    deployed.tick(DAY)
    assert not file.exists()
    assert deployed.schedule().state == "disabled"
    deployed.deploy()
    assert only(deployed.adapter).schedules == ()


def test_a_one_time_schedule_is_forgotten_when_it_asks_for_that(
    deployed: Deployed, tmp_path: Path
) -> None:
    file = tmp_path / "notes"
    now = datetime.fromtimestamp(deployed.tick(0.0), timezone.utc)
    at = f"at({now.year + 1}-01-01T00:00:00)"
    deployed.deploy(note(file, expression=at, delete=True))
    assert deployed.schedule().state == "enabled"
    deployed.tick(366 * DAY)
    assert file.read_text().split() == [f"{now.year + 1}-01-01T00:00:00Z"]
    assert only(deployed.adapter).schedules == ()


def test_what_cannot_run_is_said_when_it_is_deployed(deployed: Deployed, tmp_path: Path) -> None:
    told = deployed.deploy(note(tmp_path / "a", api=None))
    assert told.startswith("its schedule told cannot run: it names no endpoint; set custom.bento")
    assert "there is no endpoint 'notes'" in deployed.deploy(note(tmp_path / "a", api="notes"))


def test_the_command_line(home: Home, root: Path, tmp_path: Path, bentofn: Bentofn) -> None:
    file = tmp_path / "notes"
    started = bentofn("emulator", "start", "--speed", "0", "--port", "0", home=home.path).stdout
    assert "its time stands still" in started
    settings = FunctionSettings(
        cpu=1, snapshot="none", schedules=(note(file, expression="rate(1 day)"),)
    )
    LocalAdapter(home).apply(FunctionSpec("echo", str(root), settings), ignore)
    assert bentofn("emulator", "tick", "36h", home=home.path).stdout.startswith("It is now 20")
    assert len(file.read_text().split()) == 2
    shown = bentofn("status", home=home.path).stdout
    assert "rate(1 day)" in shown
    assert "delivered" in shown
    shown = bentofn("emulator", "status", home=home.path).stdout
    assert "its time stands still; there it is 20" in shown
    told = json.loads(bentofn("emulator", "tick", "1d", "--json", home=home.path).stdout)
    ((schedule,),) = [
        each["schedules"] for each in json.loads(bentofn("status", "--json", home=home.path).stdout)
    ]
    assert told["now"] - DAY < schedule["last"] <= told["now"] < schedule["next"]
    for wrong in ("soon", "3", "-1h", "400d", "nand"):
        refused = bentofn("emulator", "tick", "--", wrong, home=home.path, check=False)
        assert refused.returncode == 2
        assert "DURATION" in refused.stderr
    daemon.stop(home)
    shown = bentofn("status", home=home.path).stdout
    assert "rate(1 day)  stopped" in shown
    refused = bentofn("emulator", "tick", "1m", home=home.path, check=False)
    assert (refused.returncode, "does not run" in refused.stderr) == (1, True)
