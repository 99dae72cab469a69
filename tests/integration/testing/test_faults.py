"""What bentofn.testing has go wrong, and what it says happened, with real processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local import daemon
from bentofn.adapters.local.client import Client
from bentofn.adapters.schedule import Schedule
from bentofn.packager.home import Home
from bentofn.runtime.errors import UserError
from bentofn.testing import DeployedFunction, LocalPlatform, wait_until

Deploy = Callable[..., DeployedFunction]


@pytest.fixture
def plain(deploy: Deploy, notes: Path) -> DeployedFunction:
    return deploy(notes, "notes", snapshot="none", cpu=1)


@pytest.fixture
def on_lambda(deploy: Deploy, notes: Path) -> DeployedFunction:
    return deploy(notes, "notes", profile="lambda", snapshot="none")


def in_flight(function: DeployedFunction) -> int:
    return sum(each.in_flight for each in function.instances)


def test_a_function_is_at_zero_first_and_again_after_its_idle_timeout(
    deploy: Deploy, notes: Path, bentofn_platform: LocalPlatform
) -> None:
    function = deploy(notes, "notes", snapshot="none", idle_timeout=300.0)
    assert function.instances == ()
    function.assert_cold_starts(0)
    assert function.post("/say", {"word": "one"}).text == "one"
    bentofn_platform.clock.advance(minutes=4)
    assert function.post("/say").text == "hello"
    function.assert_cold_starts(1)
    bentofn_platform.clock.advance(minutes=5)
    wait_until(lambda: not function.instances)
    assert function.post("/say").text == "hello"
    function.assert_cold_starts(2)
    assert [request.start for request in function.requests] == ["cold", "warm", "cold"]


def test_lambda_has_an_environment_for_each_request_and_others_share_an_instance(
    deploy: Deploy, notes: Path, tmp_path: Path
) -> None:
    for profile, environments in (("lambda", 3), ("plain", 1)):
        function = deploy(notes, profile, profile=profile, snapshot="none", memory=512)
        gate = tmp_path / profile
        calls = [function.begin("/wait", {"gate": str(gate)}) for _ in range(3)]
        wait_until(lambda function=function: in_flight(function) == 3)  # type: ignore[misc]
        gate.touch()
        assert [call.result().text for call in calls] == ["through"] * 3
        function.assert_cold_starts(environments)
        with pytest.raises(AssertionError, match=f"{environments} cold starts, not 9: v1-.*cold"):
            function.assert_cold_starts(9)


def test_batches_are_counted(plain: DeployedFunction, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    body = {"gates": [str(gate)]}
    calls = [plain.begin("/waits", body)]
    wait_until(lambda: in_flight(plain) == 1)
    calls += [plain.begin("/waits", {"gates": [str(gate)] * 4}) for _ in range(2)]
    wait_until(lambda: in_flight(plain) == 3)
    gate.touch()
    answers = [call.result().json() for call in calls]
    assert sorted(plain.batches) == sorted(answer[0] for answer in answers)
    plain.assert_batched(at_least=4)
    with pytest.raises(AssertionError, match=r"no batch of 99 items or more: \d items"):
        plain.assert_batched(at_least=99)


def test_an_instance_that_is_killed_takes_its_request_along(
    plain: DeployedFunction, tmp_path: Path
) -> None:
    call = plain.begin("/wait", {"gate": str(tmp_path / "never")})
    wait_until(lambda: in_flight(plain) == 1)
    plain.kill()
    answer = call.result()
    assert answer.status_code == 502
    assert "signal 9" in answer.json()["error"] or "SIGKILL" in answer.json()["error"]
    assert plain.post("/say").text == "hello"
    plain.assert_cold_starts(2)
    assert [request.status for request in plain.requests] == [502, 200]


def test_an_environment_outlives_the_process_that_is_killed(
    on_lambda: DeployedFunction, tmp_path: Path
) -> None:
    call = on_lambda.begin("/wait", {"gate": str(tmp_path / "never")})
    wait_until(lambda: in_flight(on_lambda) == 1)
    on_lambda.kill()
    assert call.result().status_code == 502
    assert any("Runtime.ExitError" in line.line for line in on_lambda.logs())
    assert on_lambda.post("/say").text == "hello"
    on_lambda.assert_cold_starts(1)


def test_nothing_runs_that_could_be_killed(plain: DeployedFunction) -> None:
    with pytest.raises(AssertionError, match="no process to kill"):
        plain.kill()


def test_a_slow_start_takes_as_long_as_the_clock_says(
    plain: DeployedFunction, bentofn_platform: LocalPlatform
) -> None:
    plain.slow_start(30)
    call = plain.begin("/say")
    wait_until(lambda: plain.status.queued == 1)
    bentofn_platform.clock.advance(29)
    assert plain.cold_starts == []
    assert plain.status.queued == 1
    bentofn_platform.clock.advance(2)
    assert call.result().text == "hello"
    plain.recycle()
    assert plain.post("/say").text == "hello"  # it was the next start only
    plain.assert_cold_starts(2)


@pytest.mark.parametrize(
    ("profile", "status", "answer"),
    [
        ("plain", 503, {"error": "The function is throttled, as its test wants; try again later."}),
        ("lambda", 429, {"Message": "Rate Exceeded."}),
    ],
)
def test_a_throttle_is_the_refusal_of_the_backend(
    deploy: Deploy, notes: Path, profile: str, status: int, answer: Any
) -> None:
    function = deploy(notes, "notes", profile=profile, snapshot="none")
    function.throttle(times=1)
    refusal = function.post("/say")
    assert refusal.status_code == status
    assert refusal.json() == answer
    assert function.post("/say").text == "hello"
    function.throttle()
    assert [function.post("/say").status_code for _ in range(3)] == [status] * 3
    function.heal()
    assert function.post("/say").text == "hello"
    assert len(function.refused) == 4
    assert len(function.throttled) == (4 if status == 429 else 0)


def test_a_connection_that_is_refused_sends_the_request_to_another_instance(
    plain: DeployedFunction, tmp_path: Path
) -> None:
    plain.lose_network("refused", times=1)
    assert plain.post("/note", {"file": str(tmp_path / "notes")}).status_code == 200
    assert (tmp_path / "notes").read_text() == "noted\n"
    plain.assert_cold_starts(2)
    plain.lose_network("refused")
    answer = plain.post("/note", {"file": str(tmp_path / "notes")})
    assert answer.status_code == 502
    assert (tmp_path / "notes").read_text() == "noted\n"
    plain.heal()
    assert plain.post("/say").text == "hello"


@pytest.mark.parametrize("profile", ["plain", "lambda"])
def test_an_answer_that_is_lost_was_worked_for(
    deploy: Deploy, notes: Path, tmp_path: Path, profile: str
) -> None:
    function = deploy(notes, "notes", profile=profile, snapshot="none")
    function.lose_network("cut", times=1)
    body = {"file": str(tmp_path / "notes")}
    assert function.post("/note", body).status_code == 502
    assert (tmp_path / "notes").read_text() == "noted\n"
    assert function.post("/note", body).status_code == 200
    assert (tmp_path / "notes").read_text() == "noted\nnoted\n"
    function.assert_cold_starts(1)


def test_a_day_of_schedules_passes_at_once(
    deploy: Deploy, notes: Path, bentofn_platform: LocalPlatform, tmp_path: Path
) -> None:
    text = json.dumps({"file": str(tmp_path / "n")})
    every = Schedule("hourly", "rate(1 hour)", api="note", input=text)
    function = deploy(notes, "notes", snapshot="none", schedules=(every,), idle_timeout=7200.0)
    before = bentofn_platform.clock.now
    assert (bentofn_platform.clock.advance(days=1) - before).days == 1
    assert len(function.requests) == 24
    assert (tmp_path / "n").read_text() == "noted\n" * 24


def test_an_event_that_is_throttled_is_tried_again_as_time_passes(
    on_lambda: DeployedFunction, bentofn_platform: LocalPlatform, tmp_path: Path
) -> None:
    on_lambda.throttle(times=1)
    notes = tmp_path / "notes"
    invocations = f"{bentofn_platform.url}/2015-03-31/functions/notes/invocations"
    event = {"api": "note", "body": {"file": str(notes)}}
    headers = {"X-Amz-Invocation-Type": "Event"}
    taken = bentofn_platform.http.post(invocations, json=event, headers=headers)
    assert taken.status_code == 202
    wait_until(lambda: on_lambda.throttled)
    assert not notes.exists()
    bentofn_platform.clock.advance(hours=1)
    assert notes.read_text() == "noted\n"


def test_a_schedule_waits_for_a_slow_start_and_the_clock_goes_on(
    deploy: Deploy, notes: Path, bentofn_platform: LocalPlatform, tmp_path: Path
) -> None:
    text = json.dumps({"file": str(tmp_path / "notes")})
    every = Schedule("hourly", "rate(1 hour)", api="note", input=text)
    function = deploy(notes, "notes", snapshot="none", schedules=(every,))
    function.slow_start(30)
    bentofn_platform.clock.advance(minutes=61)
    assert (tmp_path / "notes").read_text() == "noted\n"


def test_a_name_is_one_functions(deploy: Deploy, notes: Path, plain: DeployedFunction) -> None:
    with pytest.raises(UserError, match="'notes' is deployed already; give this one a name"):
        deploy(notes)
    assert plain.post("/say").text == "hello"


def test_a_client_sends_nothing_but_the_calls(plain: DeployedFunction) -> None:
    client = plain.client()
    assert client.say(word="typed") == "typed"
    assert [request.path for request in plain.requests] == ["/say"]


def test_instances_that_are_kept_are_there_from_the_beginning(deploy: Deploy, notes: Path) -> None:
    function = deploy(notes, "notes", snapshot="none", min_instances=2)
    assert len(function.instances) == 2
    assert function.post("/say").text == "hello"
    function.assert_cold_starts(0)


def test_an_ordinary_platform_has_nothing_go_wrong(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    client = Client(daemon.start(home, 0))
    try:
        with pytest.raises(UserError, match="There is no POST /_bentofn/testing/faults"):
            client.testing("faults", function="notes", kind="throttle", times=1, seconds=0)
    finally:
        daemon.stop(home)
