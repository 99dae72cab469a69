"""boto3 invokes functions, and its users see what Lambda would say."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_functions import HandlerError, Served, SmallFunctions, call, refused, serve

from bentofn.adapters.local.journal.events import RequestRefused
from bentofn.adapters.local.lambda_.account import CONCURRENCY, account_concurrency
from bentofn.adapters.local.tickets import Refused
from bentofn.runtime.errors import UserError


def echo(event: Any, _: Any) -> Any:
    return {"echo": event}


def fail(event: Any, _: Any) -> Any:
    raise HandlerError("no")


async def test_a_caller_that_waits_gets_the_functions_value(served: Served) -> None:
    served.functions.deploy("f", echo)
    answer = await call(served.client().invoke, FunctionName="f", Payload=b'{"a": 1}')
    assert answer["StatusCode"] == 200
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "FunctionError" not in answer
    assert json.loads(answer["Payload"]) == {"echo": {"a": 1}}
    ids = answer["ResponseMetadata"]["HTTPHeaders"]["x-amzn-requestid"]
    assert served.functions.ran[0][2].request_id == ids


async def test_no_payload_is_an_empty_event(served: Served) -> None:
    served.functions.deploy("f", echo)
    answer = await call(served.client().invoke, FunctionName="f")
    assert json.loads(answer["Payload"]) == {"echo": {}}


async def test_a_functions_error_is_an_answer_with_a_header(served: Served) -> None:
    served.functions.deploy("f", fail)
    answer = await call(served.client().invoke, FunctionName="f", LogType="Tail")
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"])["errorMessage"] == "no"
    assert base64.b64decode(answer["LogResult"]) == b"START\nEND\n"


async def test_a_client_context_reaches_the_function(served: Served) -> None:
    served.functions.deploy("f", echo)
    context = base64.b64encode(b'{"custom": {"x": "y"}}').decode()
    await call(served.client().invoke, FunctionName="f", ClientContext=context)
    assert served.functions.ran[0][2].client_context == b'{"custom": {"x": "y"}}'
    error = await refused(served.client().invoke, FunctionName="f", ClientContext="!")
    assert error.response["Error"]["Code"] == "InvalidRequestContentException"


async def test_a_dry_run_runs_nothing(served: Served) -> None:
    served.functions.deploy("f", echo)
    answer = await call(served.client().invoke, FunctionName="f", InvocationType="DryRun")
    assert answer["StatusCode"] == 204
    assert served.functions.ran == []


@pytest.mark.parametrize(
    "name",
    [
        "f",
        "f:1",
        "f:$LATEST",
        "arn:aws:lambda:eu-west-1:123456789012:function:f",
        "arn:aws:lambda:eu-west-1:123456789012:function:f:1",
        "123456789012:function:f",
    ],
)
async def test_every_way_to_name_a_function_is_known(served: Served, name: str) -> None:
    served.functions.deploy("f", echo)
    answer = await call(served.client().invoke, FunctionName=name)
    assert answer["ExecutedVersion"] == ("1" if name.endswith(":1") else "$LATEST")


@pytest.mark.parametrize(
    ("name", "qualifier", "code", "words"),
    [
        ("g", None, "ResourceNotFoundException", "function:g:$LATEST"),
        ("f", "2", "ResourceNotFoundException", "function:f:2"),
        ("f", "blue", "ResourceNotFoundException", "function:f:blue"),
        ("f:1", "2", "InvalidParameterValueException", "derived qualifier"),
        ("f!", None, "ValidationException", "'f!' at 'functionName'"),
        ("f", "no!", "ValidationException", "'no!' at 'qualifier'"),
        ("f:1:2", None, "ValidationException", "'f:1:2'"),
    ],
)
async def test_what_is_not_there_is_said_in_lambdas_words(
    served: Served, name: str, qualifier: str | None, code: str, words: str
) -> None:
    served.functions.deploy("f", echo)
    path = f"{served.url}/2015-03-31/functions/{name}/invocations"
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(path, params={"Qualifier": qualifier} if qualifier else {})
    assert answer.headers["x-amzn-ErrorType"] == code
    assert words in answer.text
    assert answer.headers["x-amzn-RequestId"]


async def test_bodies_that_are_too_large_or_no_json_are_refused(served: Served) -> None:
    served.functions.deploy("f", echo)
    client = served.client()
    large = json.dumps("x" * 6_291_456).encode()
    error = await refused(client.invoke, FunctionName="f", Payload=large)
    assert error.response["Error"]["Code"] == "RequestTooLargeException"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    event = json.dumps("x" * 1_048_576).encode()
    error = await refused(client.invoke, FunctionName="f", Payload=event, InvocationType="Event")
    assert error.response["Error"]["Code"] == "RequestTooLargeException"
    await call(client.invoke, FunctionName="f", Payload=event)
    for wrong in (b"{nope", b"NaN", '"utf-16"'.encode("utf-16"), b"[" * 100_000):
        error = await refused(client.invoke, FunctionName="f", Payload=wrong)
        assert error.response["Error"]["Code"] == "InvalidRequestContentException"
        assert "Could not parse request body into json" in error.response["Error"]["Message"]


async def test_a_trace_goes_on_and_one_that_is_none_is_made(served: Served) -> None:
    served.functions.deploy("f", echo)
    path = f"{served.url}/2015-03-31/functions/f/invocations"
    async with httpx.AsyncClient(timeout=60) as client:
        for sent in (b"Root=1-5759e988-bd862e3fe1be46a994272793", b"\xff"):
            answer = await client.post(path, headers={b"X-Amzn-Trace-Id": sent})
            found = served.functions.ran.pop()[2].trace_id
            assert answer.headers["X-Amzn-Trace-Id"] == found
            assert (found == sent.decode("latin-1")) == (sent != b"\xff")


async def test_another_type_of_body_is_415(served: Served) -> None:
    served.functions.deploy("f", echo)
    path = f"{served.url}/2015-03-31/functions/f/invocations"
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(path, content=b"<a/>", headers={"Content-Type": "text/xml"})
        assert answer.status_code == 415
        assert answer.json()["Type"] == "User"
        plain = await client.post(path, content=b"{}")
        assert plain.status_code == 200


async def test_a_page_of_somebody_elses_cannot_use_the_api(served: Served) -> None:
    served.functions.deploy("f", echo)
    path = f"{served.url}/2015-03-31/functions/f/invocations"
    async with httpx.AsyncClient(timeout=60) as client:
        answer = await client.post(path, headers={"Origin": "https://example.com"})
        assert answer.status_code == 403
        answer = await client.post(path, headers={"Host": "rebound.example"})
        assert answer.status_code == 403
        path = f"{served.url}/2015-03-31/functions/f"
        # Of the same origin are the pages of functions.
        answer = await client.get(path, headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 403
    assert served.functions.ran == []


@pytest.mark.parametrize(
    ("status", "code"), [(429, "TooManyRequestsException"), (503, "ServiceException")]
)
async def test_what_no_environment_takes_is_throttled_or_a_fault(
    served: Served, status: int, code: str
) -> None:
    served.functions.deploy("f", lambda *_: Refused(status, "no room"))
    error = await refused(served.client().invoke, FunctionName="f")
    assert error.response["Error"]["Code"] == code
    if status == 429:
        assert error.response["Reason"] == "ConcurrentInvocationLimitExceeded"
        assert error.response["Error"]["Message"] == "Rate Exceeded."


async def test_reserved_concurrency_throttles_and_protects(served: Served) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def wait(event: Any, _: Any) -> Any:
        entered.set()
        await release.wait()
        return 1

    served.functions.deploy("f", wait)
    client = served.client()
    await call(client.put_function_concurrency, FunctionName="f", ReservedConcurrentExecutions=1)
    first = asyncio.create_task(call(client.invoke, FunctionName="f"))
    await entered.wait()
    error = await refused(served.client().invoke, FunctionName="f")
    assert error.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    told = served.journal.recent()[-1]
    assert isinstance(told, RequestRefused)
    assert told.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    release.set()
    assert (await first)["Payload"] == b"1"
    assert (await call(client.invoke, FunctionName="f"))["StatusCode"] == 200


async def test_functions_share_the_accounts_concurrency(served: Served) -> None:
    release, running = asyncio.Event(), asyncio.Semaphore(0)

    async def wait(event: Any, _: Any) -> Any:
        running.release()
        await release.wait()

    async def run(count: int) -> None:
        for _ in range(count):
            await asyncio.wait_for(running.acquire(), 30)

    for name in ("a", "b", "own"):
        served.functions.deploy(name, wait)
    client = served.client()
    reserve = client.put_function_concurrency
    await call(reserve, FunctionName="own", ReservedConcurrentExecutions=900)
    limits = (await call(client.get_account_settings))["AccountLimit"]
    assert limits["ConcurrentExecutions"] == 1000
    assert limits["UnreservedConcurrentExecutions"] == 100
    error = await refused(reserve, FunctionName="a", ReservedConcurrentExecutions=1)
    assert "below its minimum value of [100]" in error.response["Error"]["Message"]
    invocations = f"{served.url}/2015-03-31/functions/{{}}/invocations".format
    limits_of_client = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(timeout=60, limits=limits_of_client) as caller:
        names = ["a"] * 60 + ["b"] * 40
        held = [asyncio.create_task(caller.post(invocations(name))) for name in names]
        await run(100)
        for name in ("a", "b"):
            error = await refused(client.invoke, FunctionName=name)
            assert error.response["Error"]["Code"] == "TooManyRequestsException"
            assert error.response["Reason"] == "ConcurrentInvocationLimitExceeded"
        assert served.functions.throttles == {"a": 1, "b": 1}
        held.append(asyncio.create_task(caller.post(invocations("own"))))
        await run(1)
        release.set()
        assert {answer.status_code for answer in await asyncio.gather(*held)} == {200}


async def test_a_new_account_has_little_and_none_to_reserve(
    functions: SmallFunctions, tmp_path: Path
) -> None:
    async with serve(functions, tmp_path, concurrency=10) as served:
        functions.deploy("f", echo)
        client = served.client()
        reserve = client.put_function_concurrency
        error = await refused(reserve, FunctionName="f", ReservedConcurrentExecutions=1)
        assert "below its minimum value of [10]" in error.response["Error"]["Message"]
        assert await call(reserve, FunctionName="f", ReservedConcurrentExecutions=0)
        limits = (await call(client.get_account_settings))["AccountLimit"]
        assert limits["ConcurrentExecutions"] == 10


def test_the_accounts_concurrency_is_the_environments() -> None:
    assert account_concurrency({}) == 1000
    assert account_concurrency({CONCURRENCY: "10"}) == 10
    for wrong in ("0", "ten", "-1", "", "\u0661"):
        with pytest.raises(UserError, match="a whole number, 1 or more"):
            account_concurrency({CONCURRENCY: wrong})


async def test_a_function_runs_on_when_its_caller_has_gone(served: Served) -> None:
    entered, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def wait(event: Any, _: Any) -> Any:
        entered.set()
        await release.wait()
        ended.set()

    served.functions.deploy("f", wait)
    path = f"{served.url}/2015-03-31/functions/f/invocations"
    async with httpx.AsyncClient(timeout=60) as client:
        caller = asyncio.create_task(client.post(path))
        await entered.wait()
        caller.cancel()
        await asyncio.wait([caller])
    release.set()
    await asyncio.wait_for(ended.wait(), 10)


async def test_a_streamed_response_arrives_in_frames(served: Served) -> None:
    served.functions.deploy("f", lambda *_: "x" * 300_000)
    served.functions.deploy("bad", fail)

    def work(name: str) -> list[Any]:
        answer = served.client().invoke_with_response_stream(FunctionName=name, LogType="Tail")
        return list(answer["EventStream"])

    events = await asyncio.to_thread(work, "f")
    pieces = [event["PayloadChunk"]["Payload"] for event in events if "PayloadChunk" in event]
    assert len(pieces) == 3
    assert json.loads(b"".join(pieces)) == "x" * 300_000
    assert base64.b64decode(events[-1]["InvokeComplete"]["LogResult"]) == b"START\nEND\n"
    (event,) = await asyncio.to_thread(work, "bad")
    assert event["InvokeComplete"]["ErrorCode"] == "Unhandled"
    assert "no" in event["InvokeComplete"]["ErrorDetails"]
