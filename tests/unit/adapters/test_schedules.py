from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from bentofn.adapters.protocol import FunctionSpec
from bentofn.adapters.schedule import Schedule
from bentofn.adapters.schedules import other_events
from bentofn.adapters.spec import read_spec
from bentofn.runtime.errors import UserError


def read(tmp_path: Path, events: str, custom: str = "{}") -> tuple[Schedule, ...]:
    path = tmp_path / "serverless.yml"
    path.write_text(
        "service: s\nprovider: aws\nfunctions:\n  f:\n    handler: h.f\n    events:\n"
        + "".join(f"      {line}\n" for line in events.splitlines())
        + "custom:\n  bentofn:\n    functions:\n      f:\n        bento: b:1\n        schedules:\n"
        + "".join(f"          {line}\n" for line in custom.splitlines())
    )
    spec = read_spec(path, {"ZONE": "Europe/Berlin", "KEY": "k1"})
    settings = spec.functions["f"].settings
    again = FunctionSpec.from_json(
        json.loads(json.dumps(FunctionSpec("f", "b:1", settings).to_json()))
    )
    assert again.settings.schedules == settings.schedules
    return settings.schedules


def test_the_frameworks_forms(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
- http: GET /
- schedule: rate(2 hours)
- schedule:
    rate: ["cron(0 9 ? * MON-FRI *)", rate(1 day)]
    enabled: false
    input: {key: "${env:KEY}", list: [1, "${env:KEY}"]}
- schedule:
    rate: cron(0 12 * * ? *)
    method: scheduler
    timezone: ${env:ZONE}
    name: noon.every-day
    description: lunch
    input: '{"a": 1}'
- schedule:
    rate: rate(10 minutes)
    inputPath: $.detail
    input: {body: '{"b": 2}'}
""",
    )
    names = [each.name for each in found]
    assert names == ["schedule-1", "schedule-2", "schedule-3", "noon.every-day", "schedule-5"]
    assert found[0] == Schedule("schedule-1", "rate(2 hours)")
    assert [each.expression for each in found[1:3]] == ["cron(0 9 ? * MON-FRI *)", "rate(1 day)"]
    assert [each.enabled for each in found] == [True, False, False, True, True]
    assert json.loads(found[1].input or "") == {"key": "k1", "list": [1, "k1"]}
    noon = found[3]
    assert (noon.timezone, noon.method, noon.description) == ("Europe/Berlin", "scheduler", "lunch")
    assert noon.input == '{"a": 1}'
    assert found[4].input_path == "$.detail"
    assert json.loads(found[4].input or "") == {"body": {"b": 2}}


def test_what_the_framework_has_no_word_for(tmp_path: Path) -> None:
    event, once = read(
        tmp_path,
        "- schedule: {rate: rate(1 day), name: nightly, method: scheduler}",
        """
nightly:
  api: refresh
  startDate: 2030-01-31T09:00:00Z
  endDate: 2030-03-01
  flexibleTimeWindow: 15
  maximumRetryAttempts: 3
  maximumEventAge: 3600
once:
  rate: at(2030-10-27T02:30:00)
  timezone: Europe/Berlin
  actionAfterCompletion: DELETE
  input: {city: Berlin}
""",
    )
    assert event == Schedule(
        "nightly",
        "rate(1 day)",
        method="scheduler",
        api="refresh",
        start=datetime(2030, 1, 31, 9, tzinfo=timezone.utc).timestamp(),
        end=datetime(2030, 3, 1, tzinfo=timezone.utc).timestamp(),
        window=15,
        retries=3,
        longest_age=3600,
    )
    assert once == Schedule(
        "once",
        "at(2030-10-27T02:30:00)",
        "Europe/Berlin",
        "scheduler",
        input='{"city": "Berlin"}',
        delete=True,
    )


WRONG = [
    ("- schedule: rate(5 minute)", "{}", r"events\.0\.schedule: .*write rate\(5 minutes\)"),
    (
        "- schedule: {rate: 'cron(0 25 * * ? *)'}",
        "{}",
        r"schedule\.rate: .*'25' in the hours field",
    ),
    ("- schedule: {rate: [rate(1 day), cron(x)]}", "{}", r"schedule\.rate\.1: .*fields"),
    ("- schedule: {rate: at(2030-01-01T00:00:00)}", "{}", r"takes no at\(\) here"),
    (
        "- schedule: {rate: rate(1 day), inputTransformer: {inputTemplate: x}}",
        "{}",
        "inputTransform",
    ),
    (
        "- schedule: {rate: rate(1 day), method: cronjob}",
        "{}",
        "must be one of eventBus, scheduler",
    ),
    ("- schedule: {rate: rate(1 day), timezone: Europe/Berlin}", "{}", "takes method: scheduler"),
    (
        "- schedule: {rate: rate(1 day), method: scheduler, timezone: Europe/Bonn}",
        "{}",
        "'Europe/Bonn' is no time zone",
    ),
    (
        "- schedule: {rate: 'cron(30 2 * * ? *)', method: scheduler, inputPath: $.a}",
        "{}",
        "inputPath: method: scheduler takes none",
    ),
    (
        "- schedule: {rate: [rate(1 day), rate(2 days)], name: a}",
        "{}",
        "only a schedule with one rate",
    ),
    ("- schedule: {rate: rate(1 day), name: a b}", "{}", "a schedule's name is"),
    ("- schedule: {rate: rate(1 day), input: 'not json'}", "{}", "JSON in a text"),
    ("- schedule: {rate: rate(1 day), inputs: {}}", "{}", "did you mean 'input'"),
    ("- schedule: {rate: []}", "{}", "one expression at least"),
    ("- schedule: {}", "{}", "rate: it is missing"),
    (
        "- schedule: {rate: rate(1 day), name: a}\n- schedule: {rate: rate(2 days), name: a}",
        "{}",
        "two schedules 'a'",
    ),
    ("- schedule: {rate: rate(1 day), name: a}", "b: {api: x}", "those are a"),
    (
        "- schedule: {rate: rate(1 day), name: a}",
        "a: {rate: rate(2 days)}",
        "in the function's events",
    ),
    ("- http: GET /", "a: {rate: rate(1 day), flexibleTimeWindow: 1441}", "1440 at most"),
    ("- http: GET /", "a: {rate: rate(1 day), maximumRetryAttempts: 186}", "185 at most"),
    ("- http: GET /", "a: {rate: rate(1 day), maximumEventAge: 59}", "60 or more"),
    ("- http: GET /", "a: {rate: rate(1 day), startDate: tomorrow}", "it is no date"),
    (
        "- http: GET /",
        "a: {rate: rate(1 day), startDate: 2030-01-02, endDate: 2030-01-01}",
        "not after",
    ),
    ("- http: GET /", "a: {rate: rate(1 day), actionAfterCompletion: KEEP}", "NONE, DELETE"),
]


@pytest.mark.parametrize(("events", "custom", "problem"), WRONG)
def test_a_wrong_schedule_is_one_sentence_with_its_place(
    tmp_path: Path, events: str, custom: str, problem: str
) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        read(tmp_path, events, custom)
    assert str(caught.value).startswith("serverless.yml: ")


def test_a_deployment_of_an_older_bentofn_has_no_schedules() -> None:
    raw = FunctionSpec("f", "b:1").to_json()
    del raw["settings"]["schedules"]
    assert FunctionSpec.from_json(raw) == FunctionSpec("f", "b:1")


def test_other_events_are_known_by_their_kind() -> None:
    events = ({"schedule": "rate(1 day)"}, {"http": "GET /"}, "iot", {"http": "GET /b"})
    assert other_events(events) == ["http", "iot"]


def test_a_schedule_is_plain_data() -> None:
    schedule = Schedule("a", "rate(1 day)")
    assert Schedule(**json.loads(json.dumps(dataclasses.asdict(schedule)))) == schedule
