"""A custom runtime streams its answers: boto3 and function URLs get them while it writes."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from small_functions import SmallFunctions, call, serve

from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.invocation import Invocation, InvocationResult
from bentofn.adapters.local.lambda_.setup import Setup
from bentofn.adapters.url import Cors, Url

BOOTSTRAP = textwrap.dedent(
    '''
    """A runtime of its own: it writes what its event says, and waits for files between."""
    import base64, http.client, json, os, time

    PRELUDE = "application/vnd.awslambda.http-integration-response"
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

    def chunk(data):
        api.send(b"%x\\r\\n%s\\r\\n" % (len(data), data))

    while True:
        api.request("GET", "/2018-06-01/runtime/invocation/next")
        answer = api.getresponse()
        id = answer.getheader("Lambda-Runtime-Aws-Request-Id")
        event = json.loads(answer.read())
        if "body" in event:
            event = json.loads(event["body"])
        api.putrequest("POST", f"/2018-06-01/runtime/invocation/{id}/response")
        api.putheader("Lambda-Runtime-Function-Response-Mode", "streaming")
        api.putheader("Transfer-Encoding", "chunked")
        api.putheader("Content-Type", PRELUDE if "prelude" in event else "text/plain")
        api.putheader("Trailer", "Lambda-Runtime-Function-Error-Type")
        api.endheaders()
        if "prelude" in event:
            chunk(json.dumps(event["prelude"]).encode())
            chunk(b"\\0" * 8)
        for step in event["steps"]:
            if "write" in step:
                chunk(step["write"].encode() * step.get("times", 1))
            if "wait" in step:
                while not os.path.exists(step["wait"]):
                    time.sleep(0.01)
            if "touch" in step:
                open(step["touch"], "w").close()
            if "exit" in step:
                os._exit(step["exit"])
        api.send(b"0\\r\\n")
        if "error" in event:
            body = base64.b64encode(json.dumps(event["error"]).encode()).decode()
            kind = event["error"]["errorType"]
            api.send(f"Lambda-Runtime-Function-Error-Type: {kind}\\r\\n".encode())
            api.send(f"Lambda-Runtime-Function-Error-Body: {body}\\r\\n".encode())
        api.send(b"\\r\\n")
        api.getresponse().read()
    '''
)


def until(path: Path) -> None:
    while not path.exists():
        time.sleep(0.01)


ERROR = {"errorType": "Oh", "errorMessage": "it broke"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Any]:
    (tmp_path / "bootstrap.py").write_text(BOOTSTRAP)
    function = Configuration("tell", "bootstrap", "3.12", timeout=20.0)
    setup = Setup(
        function,
        [sys.executable, str(tmp_path / "bootstrap.py")],
        function.environment(tmp_path, tmp_path),
        lambda *line, request="": None,
    )
    environment = LambdaEnvironment(setup, "tell-1")
    await environment.ready()

    async def handler(_: Any, invocation: Invocation) -> InvocationResult:
        deadline = time.time() + 20.0
        return await environment.invoke(dataclasses.replace(invocation, deadline=deadline))

    functions = SmallFunctions()
    url = Url(Cors(origins=("https://a.example",)), invoke_mode="RESPONSE_STREAM")
    functions.deploy("tell", handler, url)
    async with serve(functions, tmp_path / "home") as served:
        yield served
    await environment.stop(0.0)


class Frames:
    """The events of an answer, read by botocore in a thread."""

    def __init__(self, served: Any, event: Any) -> None:
        self._served = served
        self._event = event

    def start(self, on_piece: Callable[[bytes], None]) -> asyncio.Task[dict[str, str]]:
        def work() -> dict[str, str]:
            answer = self._served.client().invoke_with_response_stream(
                FunctionName="tell", Payload=json.dumps(self._event).encode()
            )
            headers = answer["ResponseMetadata"]["HTTPHeaders"]
            assert headers["x-amzn-remapped-content-type"] == "text/plain"
            assert answer["ExecutedVersion"] == "$LATEST"
            last: dict[str, str] = {}
            for event in answer["EventStream"]:
                if "PayloadChunk" in event:
                    on_piece(event["PayloadChunk"]["Payload"])
                else:
                    last = event["InvokeComplete"]
            return last

        return asyncio.create_task(asyncio.to_thread(work))


async def test_boto3_gets_pieces_while_the_function_writes(served: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    steps = [{"write": "one"}, {"wait": str(gate)}, {"write": "two"}]
    seen: list[bytes] = []

    def on_piece(piece: bytes) -> None:
        seen.append(piece)
        gate.touch()  # the function goes on only once its first piece is here

    last = await asyncio.wait_for(Frames(served, {"steps": steps}).start(on_piece), 30)
    assert (seen, last) == ([b"one", b"two"], {})


async def test_a_stream_that_breaks_off_says_so_at_its_end(served: Any) -> None:
    seen: list[bytes] = []
    event = {"steps": [{"write": "one"}], "error": ERROR}
    last = await asyncio.wait_for(Frames(served, event).start(seen.append), 30)
    assert seen == [b"one"]
    assert last["ErrorCode"] == "Unhandled"
    assert json.loads(last["ErrorDetails"]) == ERROR
    event = {"steps": [{"write": "two"}, {"exit": 3}]}
    last = await asyncio.wait_for(Frames(served, event).start(seen.append), 30)
    assert seen[1:] in ([b"two"], [])
    kind = json.loads(last["ErrorDetails"])["errorType"]
    assert kind in ("Runtime.TruncatedResponse", "Runtime.ExitError")


async def test_a_url_passes_on_status_and_body_as_they_come(served: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    prelude = {"statusCode": 201, "headers": {"X-Own": "1"}, "cookies": ["a=1"]}
    steps = [{"write": "one"}, {"wait": str(gate)}, {"write": "two"}]
    body = {"prelude": prelude, "steps": steps}
    origin = {"Origin": "https://a.example"}
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{served.url}/tell/", json=body, headers=origin) as answer,
    ):
        assert (answer.status_code, answer.headers["X-Own"]) == (201, "1")
        assert answer.headers["Set-Cookie"] == "a=1"
        assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
        assert answer.headers["x-amzn-RequestId"]
        found = b""
        async for piece in answer.aiter_raw():
            found += piece
            if found == b"one":
                gate.touch()
    assert found == b"onetwo"


async def test_a_url_whose_stream_breaks_off_ends_its_connection(served: Any) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        event = {"steps": [{"write": "one"}], "error": ERROR}
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(f"{served.url}/tell/", json=event)
        answer = await client.post(f"{served.url}/tell/", json={"steps": [{"write": "again"}]})
        assert (answer.status_code, answer.text) == (200, "again")
        assert answer.headers["Content-Type"].startswith("text/plain")


async def test_a_caller_that_waits_for_the_whole_gets_it(served: Any) -> None:
    event = {"steps": [{"write": "one"}, {"write": "two"}]}
    invoke = served.client().invoke
    answer = await call(invoke, FunctionName="tell", Payload=json.dumps(event).encode())
    assert answer["Payload"] == b"onetwo"
    event = {"steps": [{"write": "x" * 1024, "times": 7 * 1024}]}
    answer = await call(invoke, FunctionName="tell", Payload=json.dumps(event).encode())
    assert answer["FunctionError"] == "Unhandled"
    assert json.loads(answer["Payload"])["errorType"] == "Function.ResponseSizeTooLarge"


async def test_more_than_a_whole_answer_may_hold_is_streamed(served: Any) -> None:
    size, lock = 0, threading.Lock()

    def on_piece(piece: bytes) -> None:
        nonlocal size
        with lock:
            size += len(piece)

    event = {"steps": [{"write": "x" * 1024, "times": 7 * 1024}]}
    assert await asyncio.wait_for(Frames(served, event).start(on_piece), 60) == {}
    assert size == 7 << 20


async def test_a_function_writes_on_when_its_caller_has_gone(served: Any, tmp_path: Path) -> None:
    gate, end = tmp_path / "gate", tmp_path / "end"
    steps = [
        {"write": "one"},
        {"wait": str(gate)},
        {"write": "x" * 1024, "times": 4096},
        {"touch": str(end)},
    ]
    async with httpx.AsyncClient(timeout=30) as client:
        url = f"{served.url}/tell/"
        async with client.stream("POST", url, json={"steps": steps}) as answer:
            assert await anext(answer.aiter_raw()) == b"one"
        gate.touch()
        await asyncio.wait_for(asyncio.to_thread(until, end), 30)
        answer = await client.post(url, json={"steps": [{"write": "again"}]})
        assert answer.text == "again"
