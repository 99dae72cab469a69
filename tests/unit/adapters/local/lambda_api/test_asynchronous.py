"""Events: taken at once, tried as Lambda tries them, kept over a restart, sent on when over."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_functions import START, HandlerError, Served, SmallFunctions, call, refused, serve

from bentofn.adapters.event_rules import EventRules
from bentofn.adapters.local.journal.events import Invoked, Retried
from bentofn.adapters.local.tickets import Refused
from bentofn.adapters.protocol import FunctionSettings
from bentofn.runtime.errors import UserError

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


async def send(served: Served, name: str = "f", payload: bytes = b'{"n": 1}') -> str:
    answer = await call(
        served.client().invoke, FunctionName=name, InvocationType="Event", Payload=payload
    )
    assert answer["StatusCode"] == 202
    assert answer["Payload"] == b""
    return str(answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"])


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("It did not come to that.")


def failing(times: int) -> Callable[[Any, Any], Any]:
    tries = 0

    def handler(event: Any, _: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries <= times:
            raise HandlerError(f"try {tries}")
        return {"tries": tries}

    return handler


def _as_lambda(settings: FunctionSettings) -> FunctionSettings:
    return dataclasses.replace(settings, profile="lambda")


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_an_event_is_run_without_its_caller(served: Served) -> None:
    served.functions.deploy("f", failing(0))
    id = await send(served)
    await until(lambda: served.face.asynchronous.waiting("f") == 0)
    ((_, _, invocation),) = served.functions.ran
    assert (invocation.request_id, invocation.event) == (id, b'{"n": 1}')


async def test_a_failed_event_is_tried_again_after_a_minute_and_after_two(served: Served) -> None:
    served.functions.deploy("f", failing(9))
    id = await send(served)
    await until(lambda: len(served.functions.ran) == 1)
    await served.clock.tick(59)
    assert len(served.functions.ran) == 1
    await served.clock.tick(1)
    assert len(served.functions.ran) == 2
    await served.clock.tick(119)
    assert len(served.functions.ran) == 2
    await served.clock.tick(1)
    assert len(served.functions.ran) == 3
    await until(lambda: served.face.asynchronous.waiting("f") == 0)
    await until(lambda: bool(lines(served.home / "dead-letters" / "f.jsonl")))
    (record,) = lines(served.home / "dead-letters" / "f.jsonl")
    assert record["version"] == "1.0"
    assert record["timestamp"] == "2023-11-14T22:16:20.000Z"
    assert record["requestContext"] == {
        "requestId": id,
        "functionArn": f"{ARN}f:$LATEST",
        "condition": "RetriesExhausted",
        "approximateInvokeCount": 3,
    }
    assert record["requestPayload"] == {"n": 1}
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert record["responsePayload"]["errorMessage"] == "try 3"
    assert {invocation.request_id for _, _, invocation in served.functions.ran} == {id}


async def test_destinations_get_the_record(served: Served) -> None:
    seen: list[Any] = []
    served.functions.deploy("f", failing(1))
    served.functions.deploy("after", lambda event, _: seen.append(event))
    await call(
        served.client().put_function_event_invoke_config,
        FunctionName="f",
        MaximumRetryAttempts=0,
        DestinationConfig={
            "OnSuccess": {"Destination": f"{ARN}after"},
            "OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:lost.fifo"},
        },
    )
    await send(served)
    file = served.home / "destinations" / "sqs-lost.fifo.jsonl"
    await until(lambda: bool(lines(file)))
    assert lines(file)[0]["requestContext"]["condition"] == "RetriesExhausted"
    await send(served)
    await until(lambda: bool(seen))
    assert seen[0]["requestContext"]["condition"] == "Success"
    assert seen[0]["responsePayload"] == {"tries": 2}
    assert not (served.home / "dead-letters").exists()


async def test_a_dead_letter_queue_gets_the_event_and_why(served: Served) -> None:
    queue = "arn:aws:sqs:us-east-1:000000000000:lost"
    served.functions.deploy("f", failing(9), event_rules=EventRules(0, dead_letters=queue))
    topic = "arn:aws:sns:us-east-1:000000000000:alarms"
    rules = EventRules(on_failure="arn:aws:s3:::records", dead_letters=topic)
    served.functions.deploy("never", failing(0), event_rules=rules)
    client = served.client()
    for name in ("f", "never"):
        live = served.functions.live(name)
        assert live is not None
        spec = dataclasses.replace(live.spec, settings=_as_lambda(live.spec.settings))
        await served.face.deployed(spec)
    id = await send(served)
    folder = served.home / "destinations"
    await until(lambda: bool(lines(folder / "sqs-lost.jsonl")))
    assert lines(folder / "sqs-lost.jsonl") == [
        {
            "Body": '{"n": 1}',
            "MessageAttributes": {
                "RequestID": {"DataType": "String", "StringValue": id},
                "ErrorCode": {"DataType": "Number", "StringValue": "200"},
                "ErrorMessage": {"DataType": "String", "StringValue": "try 1"},
            },
        }
    ]
    assert not (served.home / "dead-letters").exists()
    found = await call(client.get_function_configuration, FunctionName="f")
    assert found["DeadLetterConfig"] == {"TargetArn": queue}

    await call(
        client.put_function_concurrency, FunctionName="never", ReservedConcurrentExecutions=0
    )
    await send(served, "never")
    await until(lambda: bool(lines(folder / "sns-alarms.jsonl")))
    (told,) = lines(folder / "sns-alarms.jsonl")
    assert told["Message"] == '{"n": 1}'
    assert told["MessageAttributes"]["ErrorCode"] == {"Type": "Number", "Value": "429"}
    (record,) = lines(folder / "s3-records.jsonl")
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"


async def test_a_function_that_may_not_run_has_its_events_given_up(served: Served) -> None:
    served.functions.deploy("f", failing(0))
    client = served.client()
    await call(client.put_function_concurrency, FunctionName="f", ReservedConcurrentExecutions=0)
    await send(served)
    file = served.home / "dead-letters" / "f.jsonl"
    await until(lambda: bool(lines(file)))
    (record,) = lines(file)
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responseContext" not in record
    assert served.functions.ran == []
    error = await refused(client.invoke, FunctionName="f")
    assert error.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


async def test_an_event_survives_the_platform(tmp_path: Path) -> None:
    functions = SmallFunctions()
    functions.deploy("f", failing(1))
    async with serve(functions, tmp_path) as served:
        id = await send(served)
        await until(lambda: len(functions.ran) == 1)
    async with serve(functions, tmp_path) as served:
        assert served.face.asynchronous.waiting("f") == 1
        await served.clock.tick(60)
        assert [invocation.request_id for _, _, invocation in functions.ran] == [id, id]
        await until(lambda: served.face.asynchronous.waiting("f") == 0)
    async with serve(functions, tmp_path) as served:
        assert served.face.asynchronous.waiting("f") == 0


async def test_an_event_too_old_is_given_up(served: Served) -> None:
    served.functions.deploy("f", failing(9))
    await call(
        served.client().put_function_event_invoke_config,
        FunctionName="f",
        MaximumEventAgeInSeconds=90,
    )
    await send(served)
    await until(lambda: len(served.functions.ran) == 1)
    await served.clock.tick(90)
    file = served.home / "dead-letters" / "f.jsonl"
    await until(lambda: bool(lines(file)))
    assert lines(file)[0]["requestContext"]["condition"] == "EventAgeExceeded"
    assert len(served.functions.ran) == 2


async def test_a_removed_functions_events_are_gone(served: Served) -> None:
    served.functions.deploy("f", failing(9))
    await send(served)
    await until(lambda: len(served.functions.ran) == 1)
    await served.face.forget("f")
    await served.clock.tick(300)
    assert len(served.functions.ran) == 1
    assert served.face.asynchronous.waiting("f") == 0


async def test_a_throttled_event_is_tried_again_and_uses_no_retry(served: Served) -> None:
    answers = [Refused(429, "no room"), Refused(503, "no room"), "done"]
    served.functions.deploy("f", lambda *_: answers.pop(0))
    client = served.client()
    await call(client.put_function_event_invoke_config, FunctionName="f", MaximumRetryAttempts=0)
    await send(served)
    await until(lambda: len(served.functions.ran) == 1)
    await served.clock.tick(1)
    assert len(served.functions.ran) == 2
    await served.clock.tick(2)
    assert len(served.functions.ran) == 3
    await until(lambda: served.face.asynchronous.waiting("f") == 0)
    assert not (served.home / "dead-letters").exists()


async def test_a_fault_of_the_platforms_loses_no_event(served: Served) -> None:
    answers: list[Any] = [RuntimeError("a fault"), "done"]

    def handler(event: Any, _: Any) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, RuntimeError):
            raise answer
        return answer

    served.functions.deploy("f", handler)
    await send(served)
    await until(lambda: len(served.functions.ran) == 1)
    await served.clock.tick(1)
    await until(lambda: served.face.asynchronous.waiting("f") == 0)
    assert answers == []


async def test_an_answer_that_comes_after_its_function_was_removed_changes_nothing(
    served: Served,
) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def wait(event: Any, _: Any) -> Any:
        if event == 1:
            entered.set()
            await release.wait()
            raise HandlerError("late")

    served.functions.deploy("f", wait)
    await send(served, payload=b"1")
    await entered.wait()
    await served.face.forget("f")
    await send(served, payload=b"2")
    await until(lambda: served.face.asynchronous.waiting("f") == 0)
    release.set()
    await served.clock.tick(600)
    assert [invocation.event for _, _, invocation in served.functions.ran] == [b"1", b"2"]
    assert not (served.home / "dead-letters").exists()


async def test_what_a_removed_function_left_does_not_come_back(tmp_path: Path) -> None:
    functions = SmallFunctions()
    functions.deploy("f", failing(9))
    async with serve(functions, tmp_path) as served:
        await call(served.client().create_alias, FunctionName="f", Name="a", FunctionVersion="1")
        await send(served)
        await until(lambda: len(functions.ran) == 1)
    async with serve(SmallFunctions(), tmp_path):
        pass  # the function was removed while no platform ran
    async with serve(functions, tmp_path) as served:
        await served.clock.tick(300)
        assert len(functions.ran) == 1
        found = await call(served.client().list_aliases, FunctionName="f")
        assert found["Aliases"] == []


async def test_a_burst_of_events_is_taken_whole_and_each_runs_once(served: Served) -> None:
    served.functions.deploy("f", failing(0))
    path = f"{served.url}/2015-03-31/functions/f/invocations"
    headers = {"X-Amz-Invocation-Type": "Event"}
    async with httpx.AsyncClient(timeout=None) as client:
        calls = [client.post(path, headers=headers, json=n) for n in range(300)]
        answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {202}
    await until(lambda: served.face.asynchronous.waiting("f") == 0)
    events = [json.loads(invocation.event) for _, _, invocation in served.functions.ran]
    assert sorted(events) == list(range(300))


async def test_the_journal_tells_what_becomes_of_an_event(served: Served) -> None:
    served.functions.deploy("f", failing(1))
    id = await send(served)
    await until(lambda: len(served.functions.ran) == 1)
    await served.clock.tick(60)
    await until(lambda: served.face.asynchronous.waiting("f") == 0)
    told = served.journal.recent()
    at = START
    assert told == [
        Invoked(at, "f", id, 0, "accepted"),
        Invoked(at, "f", id, 1, "failed"),
        Retried(at, "f", id, 2, 60.0),
        Invoked(at + 60, "f", id, 2, "succeeded"),
    ]


async def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=r"state\.db cannot be read"):
        async with serve(SmallFunctions(), tmp_path):
            pass
