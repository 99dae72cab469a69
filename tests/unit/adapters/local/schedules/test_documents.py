from __future__ import annotations

import json
from datetime import datetime, timezone

from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent
from aws_lambda_powertools.utilities.parser.models import EventBridgeModel

from bentofn.adapters.local.core.schedules.messages import Run
from bentofn.adapters.local.schedules.documents import execution_id, lambda_event, request_body
from bentofn.adapters.schedule import Schedule

RUN = Run("nightly", datetime(2026, 11, 23, 2, tzinfo=timezone.utc).timestamp(), 3)


def test_a_rules_event_is_eventbridges() -> None:
    body = lambda_event("f", Schedule("nightly", "rate(1 day)"), RUN)
    event = EventBridgeModel.model_validate_json(body)
    assert (event.source, event.detail_type, event.detail) == ("aws.events", "Scheduled Event", {})
    assert event.time == datetime(2026, 11, 23, 2, tzinfo=timezone.utc)
    assert event.resources == ["arn:aws:events:us-east-1:000000000000:rule/f-nightly"]


def test_the_schedulers_event_has_its_detail_as_text() -> None:
    schedule = Schedule("nightly", "rate(1 day)", method="scheduler")
    event = EventBridgeEvent(json.loads(lambda_event("f", schedule, RUN)))
    assert (event.source, event["detail"]) == ("aws.scheduler", "{}")
    assert event.time == "2026-11-23T02:00:00Z"
    assert event.get_id == execution_id("f", RUN)
    assert event.resources == [
        "arn:aws:scheduler:us-east-1:000000000000:schedule/default/f-nightly"
    ]


def test_an_input_takes_the_events_place() -> None:
    schedule = Schedule("nightly", "rate(1 day)", input='{"a": "<aws.scheduler.attempt-number>"}')
    assert lambda_event("f", schedule, RUN) == b'{"a": "<aws.scheduler.attempt-number>"}'
    assert request_body("f", schedule, RUN) == lambda_event("f", schedule, RUN)
    assert request_body("f", Schedule("nightly", "rate(1 day)"), RUN) == b"{}"


def test_context_attributes_are_replaced_in_the_schedulers_input() -> None:
    names = ("schedule-arn", "scheduled-time", "execution-id", "attempt-number")
    given = json.dumps({name: f"<aws.scheduler.{name}>" for name in names})
    schedule = Schedule("nightly", "rate(1 day)", method="scheduler", input=given)
    first, again = (
        json.loads(request_body("f", schedule, Run("nightly", RUN.scheduled, attempt)))
        for attempt in (1, 2)
    )
    assert first["schedule-arn"].endswith(":schedule/default/f-nightly")
    assert first["scheduled-time"] == "2026-11-23T02:00:00Z"
    assert first["execution-id"] == again["execution-id"]
    assert (first["attempt-number"], again["attempt-number"]) == ("1", "2")


def test_an_input_path_takes_a_part_of_a_rules_event() -> None:
    def part(path: str) -> object:
        return json.loads(
            lambda_event("f", Schedule("nightly", "rate(1 day)", input_path=path), RUN)
        )

    assert part("$.time") == "2026-11-23T02:00:00Z"
    assert part("$.detail") == {}
    assert part("$.detail.missing.more") is None
    whole = part("$")
    assert isinstance(whole, dict)
    assert whole["source"] == "aws.events"
