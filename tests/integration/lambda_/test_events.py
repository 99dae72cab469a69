"""What the handler of a bento makes of AWS's events, as ``sam local generate-event`` has them."""

from __future__ import annotations

import base64
import copy
import json
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bentofn.adapters.local.bentos import resolve_bento
from bentofn.adapters.local.engines.base import Launch
from bentofn.adapters.local.lambda_.client import client_directory
from bentofn.adapters.local.lambda_.configuration import Configuration
from bentofn.adapters.local.lambda_.environment import LambdaEnvironment
from bentofn.adapters.local.lambda_.invocation import Invocation, InvocationResult
from bentofn.adapters.local.lambda_.setup import HANDLER, bento_setup
from bentofn.packager.home import Home
from bentofn.runtime.layout import BentoRoot

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

SERVICE = """
from __future__ import annotations

import logging
from typing import Any

import bentofn
from aws_lambda_powertools import Logger, Metrics

asked: list[Any] = []
powertools = Logger(service="scorer")
metrics = Metrics()


@bentofn.service
class Scorer:
    @bentofn.api
    def score(self, text: str) -> int:
        logging.getLogger("own").warning("scoring")
        powertools.info("scoring too")
        asked.append(text)
        if text == "bad":
            raise ValueError("no score for this")
        return len(text)

    @bentofn.api(batchable=True)
    def lengths(self, texts: list[str]) -> list[int]:
        asked.append(list(texts))
        return [len(text) for text in texts]

    @bentofn.api
    def changed(
        self, event_name: str, keys: dict, new_image: dict = {}, old_image: dict = {}
    ) -> None:
        asked.append([event_name, keys, new_image, old_image])

    @bentofn.api
    def arrived(self, Records: list[dict]) -> str:
        return Records[0]["s3"]["object"]["key"]

    @bentofn.api
    def tick(self, source: str = "", time: str = "") -> list[str]:
        return [source, time]

    @bentofn.api
    def history(self) -> list[Any]:
        return asked
"""

Generate = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("events") / "home")


@pytest.fixture(scope="module")
def root(home: Home, bentofn: Any, tmp_path_factory: pytest.TempPathFactory) -> BentoRoot:
    project = tmp_path_factory.mktemp("scorer")
    (project / "service.py").write_text(SERVICE)
    (project / "bentofile.yaml").write_text(
        'service: "service:Scorer"\ninclude: ["*.py"]\n'
        "python:\n  packages: [aws-lambda-powertools, aws-xray-sdk]\n"
    )
    built = json.loads(bentofn("build", str(project), "--json", home=home.path).stdout)
    found: BentoRoot = resolve_bento(home, built["tag"]).root
    return found


class Function:
    """One environment, and what it has written."""

    def __init__(self, home: Home, root: BentoRoot, variables: dict[str, str]) -> None:
        python = Path(sys.executable)
        self.lines: list[str] = []
        function = Configuration(
            "score", HANDLER, PYTHON, memory=1024, timeout=20.0, variables=variables
        )
        launch = Launch(root.path, python, function.variables, Path(), print)
        client = client_directory(home, PYTHON, python)
        setup = bento_setup(function, launch, client, self._log)
        self.environment = LambdaEnvironment(setup, "score-1", None)

    def _log(self, instance: str, stream: str, line: str, request: str = "") -> None:
        self.lines.append(line)

    async def invoke(self, event: Any, **more: Any) -> InvocationResult:
        body, deadline = json.dumps(event).encode(), time.time() + 20
        return await self.environment.invoke(Invocation(str(uuid.uuid4()), body, deadline, **more))

    async def __call__(self, event: Any) -> Any:
        """What it returns."""
        result = await self.invoke(event)
        assert result.function_error is None, result.payload
        return json.loads(result.payload)

    async def history(self) -> list[Any]:
        """What it was asked."""
        found: list[Any] = await self({"api": "history", "body": {}})
        return found

    def documents(self) -> list[dict[str, Any]]:
        """The lines that are JSON."""
        return [json.loads(line) for line in self.lines if line.startswith("{")]


Make = Callable[..., Any]


@pytest.fixture
async def make(home: Home, root: BentoRoot) -> AsyncIterator[Make]:
    made: list[Function] = []

    async def make(**variables: str) -> Function:
        made.append(Function(home, root, variables))
        await made[-1].environment.ready()
        assert made[-1].environment.trouble == "", made[-1].lines
        return made[-1]

    yield make
    for each in made:
        await each.environment.stop(0.0)


def records(event: dict[str, Any], inputs: list[Any], place: Callable[..., None]) -> dict[str, Any]:
    """The event with a record for each input."""
    [first] = event["Records"]
    found = []
    for number, each in enumerate(inputs):
        record = copy.deepcopy(first)
        place(record, number, each)
        found.append(record)
    return {"Records": found}


def in_queue(record: dict[str, Any], number: int, each: Any) -> None:
    record["messageId"] = f"message-{number}"
    record["body"] = each if isinstance(each, str) else json.dumps(each)


def in_stream(record: dict[str, Any], number: int, each: Any) -> None:
    record["kinesis"]["sequenceNumber"] = f"{number}"
    record["kinesis"]["data"] = base64.b64encode(json.dumps(each).encode()).decode()


TRACE = "1-5759e988-bd862e3fe1be46a994272793"
BODY = {"api": "score", "body": {"text": "four"}}


async def test_requests_of_gateways_and_load_balancers_reach_their_endpoint(
    make: Make, generate: Generate
) -> None:
    score = await make()
    body = json.dumps({"text": "four"})
    values = {"path": "score", "method": "POST"}
    events = {
        "rest": generate("apigateway", "aws-proxy", querystringparameters="{}", **values),
        "http": generate("apigateway", "http-api-proxy", **values),
        "alb": generate("alb", "request", **values),
    }
    for name, event in events.items():
        event["body"], event["isBase64Encoded"] = body, False
        for headers in (event.get("headers"), event.get("multiValueHeaders")):
            if headers is not None:
                headers.pop("Content-Type", None)
        answer = await score(event)
        assert (answer["statusCode"], answer["body"]) == (200, "4"), (name, answer)


async def test_of_a_queues_messages_those_that_fail_come_again(
    make: Make, generate: Generate
) -> None:
    score = await make(BENTOFN_EVENTS="score")
    sample = generate("sqs", "receive-message")
    inputs = [{"text": "one"}, {"text": "bad"}, "no JSON", {"wrong": 1}, BODY]
    answer = await score(records(sample, inputs, in_queue))
    failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
    assert sorted(failed) == ["message-1", "message-2", "message-3"]
    assert sorted(await score.history()) == ["bad", "four", "one"]
    assert any("no score for this" in line for line in score.lines)
    assert await score(records(sample, inputs[:1], in_queue)) == {"batchItemFailures": []}


async def test_a_batch_that_fails_as_a_whole_is_the_functions_failure(
    make: Make, generate: Generate
) -> None:
    score = await make(BENTOFN_EVENTS="score")
    event = records(generate("sqs", "receive-message"), [{"text": "bad"}] * 2, in_queue)
    result = await score.invoke(event)
    assert (result.function_error, result.error_type) == ("Unhandled", "BatchProcessingError")


async def test_a_queues_messages_are_answered_in_the_services_batches(
    make: Make, generate: Generate
) -> None:
    score = await make(BENTOFN_EVENTS="lengths")
    inputs = [{"texts": [f"{n}"]} for n in range(10)]
    event = records(generate("sqs", "receive-message"), inputs, in_queue)
    assert await score(event) == {"batchItemFailures": []}
    batches = await score.history()
    assert sorted(text for batch in batches for text in batch) == [f"{n}" for n in range(10)]
    assert len(batches) < 10


async def test_a_fifo_queues_messages_keep_their_order_and_groups_fail_from_the_first_on(
    make: Make, generate: Generate
) -> None:
    score = await make(BENTOFN_EVENTS="score")
    inputs = [{"text": text} for text in ("one", "bad", "after", "other")]
    event = records(generate("sqs", "receive-message"), inputs, in_queue)
    for record, group in zip(event["Records"], "aaab", strict=True):
        record["eventSourceARN"] += ".fifo"
        record["attributes"]["MessageGroupId"] = group
    answer = await score(event)
    failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
    assert failed == ["message-1", "message-2"]
    assert await score.history() == ["one", "bad", "other"]


async def test_a_streams_records_are_answered_in_order(make: Make, generate: Generate) -> None:
    score = await make(BENTOFN_EVENTS="score")
    inputs = [{"text": text} for text in ("one", "bad", "three")]
    event = records(generate("kinesis", "get-records"), inputs, in_stream)
    assert await score(event) == {"batchItemFailures": [{"itemIdentifier": "1"}]}
    assert await score.history() == ["one", "bad", "three"]


async def test_a_tables_changes_are_plain_values(make: Make, generate: Generate) -> None:
    score = await make(BENTOFN_EVENTS="changed")
    event = generate("dynamodb", "update")
    assert await score(event) == {"batchItemFailures": []}
    history = await score.history()
    assert [each[0] for each in history] == [each["eventName"] for each in event["Records"]]
    assert history[0][1] == {"Id": 101}
    assert history[0][2] == {"Message": "New item!", "Id": 101}


async def test_other_events_are_an_endpoints_body(make: Make, generate: Generate) -> None:
    arrived = await make(BENTOFN_EVENTS="arrived")
    assert await arrived(generate("s3", "put", key="a.txt")) == "a.txt"
    tick = await make(BENTOFN_EVENTS="tick")
    source, moment = await tick(generate("cloudwatch", "scheduled-event"))
    assert source == "aws.events"
    assert moment


async def test_log_lines_say_which_invocation_and_whose(make: Make, generate: Generate) -> None:
    score = await make(AWS_LAMBDA_LOG_FORMAT="JSON")
    event = generate("apigateway", "http-api-proxy", path="score", method="POST")
    event["body"], event["isBase64Encoded"] = '{"text": "four"}', False
    event["headers"] = {"content-type": "application/json", "X-Correlation-Id": "order-7"}
    await score(event)
    await score(BODY)
    first, second = (each for each in score.documents() if each.get("message") == "scoring")
    assert first["requestId"] != second["requestId"]
    assert (first["correlation_id"], first["cold_start"]) == ("order-7", True)
    assert (second.get("correlation_id"), second["cold_start"]) == (None, False)
    own = [each for each in score.documents() if each.get("message") == "scoring too"]
    assert [each.get("correlation_id") for each in own] == ["order-7", None]
    assert [each["function_request_id"] for each in own] == [
        first["requestId"],
        second["requestId"],
    ]


async def test_metrics_are_written_where_there_is_a_namespace_for_them(make: Make) -> None:
    score = await make(POWERTOOLS_METRICS_NAMESPACE="Scores")
    await score(BODY)
    await score.invoke({"api": "score", "body": {"text": "bad"}})
    written = [each for each in score.documents() if "_aws" in each]
    assert {each["_aws"]["CloudWatchMetrics"][0]["Namespace"] for each in written} == {"Scores"}
    assert [each["ColdStart"] for each in written if "ColdStart" in each] == [[1.0]]
    assert [each["Errors"] for each in written if "Errors" in each] == [[0.0], [1.0]]
    assert all(each["Latency"][0] > 0 for each in written if "Latency" in each)
    plain = await make()
    await plain(BODY)
    assert not [each for each in plain.documents() if "_aws" in each]


async def test_traces_go_to_lambdas_daemon(make: Make) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(20)
        host, port = daemon.getsockname()
        score = await make(AWS_XRAY_DAEMON_ADDRESS=f"{host}:{port}")
        await score.invoke(BODY, trace_id=f"Root={TRACE};Parent=53995c3f42cd8ad8;Sampled=1")
        segment = json.loads(daemon.recv(65_536).partition(b"\n")[2])
    assert segment["trace_id"] == TRACE
